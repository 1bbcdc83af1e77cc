//! Tokens of other issuers, over real https, for tokens of ours.

mod exchanging;
mod issuer;
mod publishing;
mod registering;

use catalog::IssuerSettings;
use tenantry_api::catalog::v1::issuer_service_client::IssuerServiceClient;
use tenantry_api::catalog::v1::{
    CreateIssuerCompanyRequest, CreateIssuerRequest, CreateIssuerUserRequest, ExchangeExternalTokenRequest,
    ExchangeExternalTokenResponse, Issuer as Registered, IssuerAlgorithm, ListMembersRequest,
};
use tenantry_rpc::client::ServiceChannel;
use tenantry_testkit::actors::{Actor, Operator, Owner};
use tenantry_testkit::sandbox::{Engine, OnServer, Sandbox, Tuning};
use tonic::Status;

use issuer::Authority;
pub(crate) use issuer::{CLIENT, Issuer};

const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// Makes a module per engine with the given tests in it: `async fn name(world: &World)`.
macro_rules! with_issuer {
    ($($name:ident),+ $(,)?) => {
        crate::issuers::with_issuer!(@ sqlite, Sqlite, $($name),+);
        crate::issuers::with_issuer!(@ postgres, Postgres, $($name),+);
        crate::issuers::with_issuer!(@ mariadb, MariaDb, $($name),+);
    };
    (@ $engine:ident, $kind:ident, $($name:ident),+) => {
        mod $engine {
            use tenantry_testkit::sandbox::Engine;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() -> anyhow::Result<()> {
                    let world = crate::issuers::World::start(Engine::$kind).await?;
                    super::$name(&world).await?;
                    world.sandbox.stop().await
                }
            )+
        }
    };
}

pub(crate) use with_issuer;

/// A sandbox whose catalog trusts an authority, and an issuer with a certificate of it.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    issuer: Issuer,
    operator: Operator,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn start(engine: Engine) -> anyhow::Result<Self> {
        Self::tuned(engine, IssuerSettings::default(), &Authority::new()?).await
    }

    async fn tuned(engine: Engine, settings: IssuerSettings, authority: &Authority) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("authority.pem");
        std::fs::write(&file, authority.pem())?;
        let issuers = Some(IssuerSettings { issuer_ca_file: Some(file), ..settings });
        let tuning = Tuning { issuers, ..Tuning::default() };
        let sandbox = Sandbox::start_tuned(OnServer::of_suite(engine)?, tuning).await?;
        let operator = Operator::of(&sandbox).await?;
        Ok(Self { sandbox, issuer: Issuer::start(Some(authority)).await?, operator, _folder: folder })
    }

    fn issuers(&self) -> IssuerServiceClient<ServiceChannel> {
        self.sandbox.clients().issuers().expect("a client")
    }

    /// The issuer, as it is registered as a rule.
    fn registration(&self) -> Registered {
        let algorithms = [IssuerAlgorithm::Es256, IssuerAlgorithm::Rs256, IssuerAlgorithm::Eddsa];
        Registered {
            issuer_url: self.issuer.url.clone(),
            audiences: vec![CLIENT.to_owned(), "another".to_owned()],
            algorithms: algorithms.map(i32::from).to_vec(),
            company_claim: "org_id".to_owned(),
            ..Default::default()
        }
    }

    async fn register(&self, issuer: Registered) -> Result<Registered, Status> {
        let request = CreateIssuerRequest { issuer: Some(issuer), ..Default::default() };
        Ok(self.issuers().create_issuer(self.operator.request(request)).await?.into_inner())
    }

    async fn map(&self, issuer: &str, value: &str, company: &str) -> Result<(), Status> {
        let (issuer_id, claim_value, company_id) = (issuer.to_owned(), value.to_owned(), company.to_owned());
        let request = CreateIssuerCompanyRequest { issuer_id, claim_value, company_id };
        self.issuers().create_issuer_company(self.operator.request(request)).await.map(drop)
    }

    async fn link(&self, issuer: &str, subject: &str, user: &str) -> Result<(), Status> {
        let (issuer_id, subject, user_id) = (issuer.to_owned(), subject.to_owned(), user.to_owned());
        let request = CreateIssuerUserRequest { issuer_id, subject, user_id };
        self.issuers().create_issuer_user(self.operator.request(request)).await.map(drop)
    }

    async fn exchange(&self, token: &str) -> Result<ExchangeExternalTokenResponse, Status> {
        let request = ExchangeExternalTokenRequest {
            subject_token: token.to_owned(),
            subject_token_type: JWT.to_owned(),
            audiences: Vec::new(),
        };
        Ok(self.sandbox.tokens().expect("a client").exchange_external_token(request).await?.into_inner())
    }

    /// A company whose owner the issuer knows as `owner`, with the issuer's id.
    async fn with_company(&self, name: &str) -> anyhow::Result<(Owner, String)> {
        let owner = Owner::of_new_company(&self.sandbox, name).await?;
        let issuer = self.register(self.registration()).await?.id;
        self.map(&issuer, "org_1", &owner.company.id).await?;
        self.link(&issuer, "owner", &self.user_of(&owner).await?).await?;
        Ok((owner, issuer))
    }

    async fn user_of(&self, owner: &Owner) -> anyhow::Result<String> {
        let request = ListMembersRequest { company_id: owner.company.id.clone(), ..Default::default() };
        let members = self.sandbox.memberships()?.list_members(owner.request(request)).await?.into_inner().members;
        let own = members.into_iter().find(|member| member.email == owner.email);
        Ok(own.ok_or_else(|| anyhow::anyhow!("no owner"))?.user_id)
    }

    /// How often it was said, of this kind.
    async fn events(&self, kind: &str) -> anyhow::Result<usize> {
        let sql = format!("SELECT kind FROM events WHERE kind = '{kind}'");
        Ok(self.sandbox.ask_central(&sql).await?.len())
    }
}
