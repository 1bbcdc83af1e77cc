//! The reasons. Append only: clients match on them.

/// What sort of failure a reason is; each is one gRPC status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is wrong whatever the state.
    InvalidArgument,
    /// No such thing, or none that this caller may know of.
    NotFound,
    /// It is there already.
    AlreadyExists,
    /// The state must change first.
    FailedPrecondition,
    /// Lost against someone else; read again, or repeat.
    Aborted,
    /// Who is calling is not proven.
    Unauthenticated,
    /// Known, and not allowed.
    PermissionDenied,
    /// A limit is reached; retry later.
    ResourceExhausted,
    /// Cannot be served now; retry later.
    Unavailable,
    /// Not done in time.
    DeadlineExceeded,
    /// There is no such RPC.
    Unimplemented,
    /// Ours.
    Internal,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal: $kind:ident,)+) => {
        /// Why a call failed: `google.rpc.ErrorInfo.reason`, domain `tenantry`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)+];

            /// As it stands in `ErrorInfo.reason`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Reason::$name => $text,)+
                }
            }

            /// The sort of failure.
            pub fn kind(self) -> Kind {
                match self {
                    $(Reason::$name => Kind::$kind,)+
                }
            }
        }
    };
}

reasons! {
    /// Something of ours failed.
    Internal = "INTERNAL": Internal,
    /// Fields break their rules; all of them are listed.
    FieldViolations = "FIELD_VIOLATIONS": InvalidArgument,
    /// The bytes are not the request's message.
    MalformedMessage = "MALFORMED_MESSAGE": InvalidArgument,
    /// There is no such RPC here.
    UnknownMethod = "UNKNOWN_METHOD": Unimplemented,
    /// Not done within the deadline.
    DeadlineExceeded = "DEADLINE_EXCEEDED": DeadlineExceeded,
    /// Too many calls at once.
    Overloaded = "OVERLOADED": ResourceExhausted,
    /// The company makes more requests per second than it may.
    RateLimited = "RATE_LIMITED": ResourceExhausted,
    /// The company has more requests under way than it may.
    ConcurrencyLimited = "CONCURRENCY_LIMITED": ResourceExhausted,
    /// The service is going down.
    ShuttingDown = "SHUTTING_DOWN": Unavailable,

    /// No token where one is needed.
    TokenMissing = "TOKEN_MISSING": Unauthenticated,
    /// Not a token of ours for this service.
    TokenInvalid = "TOKEN_INVALID": Unauthenticated,
    /// The token's time is over.
    TokenExpired = "TOKEN_EXPIRED": Unauthenticated,
    /// The tenant's access epoch has moved past the token's.
    TokenStale = "TOKEN_STALE": Unauthenticated,
    /// The user's tokens from before a moment are not accepted any more.
    TokenRevoked = "TOKEN_REVOKED": Unauthenticated,
    /// E-mail, password, credential or secret is wrong.
    CredentialsInvalid = "CREDENTIALS_INVALID": Unauthenticated,
    /// The client certificate, without a token, proves nobody.
    CertificateUnknown = "CERTIFICATE_UNKNOWN": Unauthenticated,
    /// The token is of another service than the client certificate.
    CertificateMismatch = "CERTIFICATE_MISMATCH": Unauthenticated,
    /// The keys that verify tokens cannot be had.
    KeysUnavailable = "KEYS_UNAVAILABLE": Unavailable,
    /// This kind of caller, or this service, may not call the RPC.
    CallerNotAllowed = "CALLER_NOT_ALLOWED": PermissionDenied,
    /// The token lacks the RPC's scope.
    ScopeMissing = "SCOPE_MISSING": PermissionDenied,
    /// The request names another tenant than the token.
    OtherTenant = "OTHER_TENANT": PermissionDenied,
    /// The user does not belong to the company.
    NoMembership = "NO_MEMBERSHIP": PermissionDenied,
    /// The caller's role cannot give this role.
    RoleNotGrantable = "ROLE_NOT_GRANTABLE": PermissionDenied,
    /// The caller's role does not reach so far as the other's.
    RoleTooLow = "ROLE_TOO_LOW": PermissionDenied,

    /// The request id came before with another body.
    RequestIdReused = "REQUEST_ID_REUSED": AlreadyExists,
    /// The thing has changed since it was read.
    EtagMismatch = "ETAG_MISMATCH": Aborted,

    /// The e-mail address has a user.
    EmailTaken = "EMAIL_TAKEN": AlreadyExists,
    /// The slug belongs to another company.
    SlugTaken = "SLUG_TAKEN": AlreadyExists,
    /// The user belongs to the company already.
    AlreadyMember = "ALREADY_MEMBER": AlreadyExists,
    /// Nobody of this id belongs to the company.
    MemberNotFound = "MEMBER_NOT_FOUND": NotFound,
    /// A company without an owner would be nobody's.
    LastOwner = "LAST_OWNER": FailedPrecondition,
    /// There is no public sign-up here.
    SignUpClosed = "SIGN_UP_CLOSED": FailedPrecondition,
    /// No such company.
    CompanyNotFound = "COMPANY_NOT_FOUND": NotFound,
    /// The company's state does not allow it.
    CompanyState = "COMPANY_STATE": FailedPrecondition,
    /// The company was deleted, and can still be undeleted.
    GraceNotOver = "GRACE_NOT_OVER": FailedPrecondition,
    /// No open database server for the company.
    NoDatabaseServer = "NO_DATABASE_SERVER": FailedPrecondition,
    /// The database server takes no more databases.
    ServerAtCapacity = "SERVER_AT_CAPACITY": FailedPrecondition,
    /// The database server takes no new companies.
    ServerNotOpen = "SERVER_NOT_OPEN": FailedPrecondition,
    /// No open database server is in the region.
    NoServerInRegion = "NO_SERVER_IN_REGION": FailedPrecondition,
    /// The name is another database server's.
    DatabaseServerExists = "DATABASE_SERVER_EXISTS": AlreadyExists,
    /// There is no such plan.
    PlanNotFound = "PLAN_NOT_FOUND": NotFound,
    /// There is no such plugin.
    PluginNotFound = "PLUGIN_NOT_FOUND": NotFound,
    /// The plugin is being removed from the company.
    PluginBusy = "PLUGIN_BUSY": Aborted,
    /// The company has not installed the plugin.
    PluginNotInstalled = "PLUGIN_NOT_INSTALLED": FailedPrecondition,
    /// Events after the cursor were removed.
    CursorExpired = "CURSOR_EXPIRED": FailedPrecondition,
    /// Provisioning gave up.
    ProvisioningFailed = "PROVISIONING_FAILED": Aborted,
    /// The migrator does not answer.
    MigratorUnavailable = "MIGRATOR_UNAVAILABLE": Unavailable,

    /// A lifecycle hook has not done its step yet.
    HookUnavailable = "HOOK_UNAVAILABLE": Unavailable,
    /// A lifecycle hook refuses the company.
    HookRefused = "HOOK_REFUSED": Aborted,
    /// A step waits for a lifecycle hook that is not in the configuration.
    HookNotConfigured = "HOOK_NOT_CONFIGURED": Unavailable,

    /// There is no such database server.
    DatabaseServerNotFound = "DATABASE_SERVER_NOT_FOUND": NotFound,
    /// The database server does not answer.
    DatabaseServerUnavailable = "DATABASE_SERVER_UNAVAILABLE": Unavailable,
    /// The database belongs to another company.
    DatabaseClaimed = "DATABASE_CLAIMED": AlreadyExists,
    /// The company has no database.
    DatabaseNotFound = "DATABASE_NOT_FOUND": NotFound,
    /// The company's database was dropped, and it gets no other.
    DatabaseDropped = "DATABASE_DROPPED": FailedPrecondition,
    /// A database that is there already cannot become a company's.
    DatabaseNotAdoptable = "DATABASE_NOT_ADOPTABLE": FailedPrecondition,
    /// The company's database has no login: a file.
    NoDatabaseCredential = "NO_DATABASE_CREDENTIAL": FailedPrecondition,
    /// The database's former credential is still in use.
    CredentialDraining = "CREDENTIAL_DRAINING": Aborted,
    /// A later credential of the database was set.
    CredentialSuperseded = "CREDENTIAL_SUPERSEDED": Aborted,
    /// Another run holds the database's migration lock.
    MigrationInProgress = "MIGRATION_IN_PROGRESS": Aborted,
    /// A statement of a migration failed.
    MigrationFailed = "MIGRATION_FAILED": FailedPrecondition,
    /// A transaction holds a table that the migration changes.
    MigrationBlocked = "MIGRATION_BLOCKED": Aborted,
    /// A statement of a migration ran too long.
    MigrationTimedOut = "MIGRATION_TIMED_OUT": FailedPrecondition,
    /// A migration has no way back.
    MigrationIrreversible = "MIGRATION_IRREVERSIBLE": FailedPrecondition,
    /// The set has no such version.
    MigrationNotFound = "MIGRATION_NOT_FOUND": NotFound,
    /// The engine cannot try a migration without applying it.
    DryRunUnsupported = "DRY_RUN_UNSUPPORTED": FailedPrecondition,
    /// The database server has no such database.
    DatabaseMissing = "DATABASE_MISSING": FailedPrecondition,
    /// The database server's disk is full.
    DatabaseServerFull = "DATABASE_SERVER_FULL": ResourceExhausted,
    /// A destructive command in production has to be confirmed.
    ConfirmationRequired = "CONFIRMATION_REQUIRED": FailedPrecondition,
    /// The company has to be in maintenance.
    MaintenanceRequired = "MAINTENANCE_REQUIRED": FailedPrecondition,
    /// The central database has companies.
    CompaniesExist = "COMPANIES_EXIST": FailedPrecondition,
    /// The migrator does not know the central database.
    CentralNotConfigured = "CENTRAL_NOT_CONFIGURED": FailedPrecondition,
    /// The catalog does not answer.
    CatalogUnavailable = "CATALOG_UNAVAILABLE": Unavailable,
    /// No such rollout.
    RolloutNotFound = "ROLLOUT_NOT_FOUND": NotFound,
    /// The rollout is in a state without that way out.
    RolloutState = "ROLLOUT_STATE": FailedPrecondition,
    /// Another rollout is not finished.
    RolloutActive = "ROLLOUT_ACTIVE": FailedPrecondition,
    /// The selector matches no database.
    NoTargets = "NO_TARGETS": NotFound,
    /// An applied migration is not the one we have.
    ChecksumMismatch = "CHECKSUM_MISMATCH": FailedPrecondition,

    /// The service's own database cannot be reached.
    DatabaseUnavailable = "DATABASE_UNAVAILABLE": Unavailable,

    /// No such tenant.
    TenantNotFound = "TENANT_NOT_FOUND": NotFound,
    /// The tenant's database is being made.
    TenantProvisioning = "TENANT_PROVISIONING": FailedPrecondition,
    /// The tenant is shut out.
    TenantSuspended = "TENANT_SUSPENDED": FailedPrecondition,
    /// The tenant is shut for maintenance.
    TenantInMaintenance = "TENANT_IN_MAINTENANCE": Unavailable,
    /// The tenant's database could not be made.
    TenantFailed = "TENANT_FAILED": FailedPrecondition,
    /// The tenant is deleted.
    TenantDeleted = "TENANT_DELETED": FailedPrecondition,
    /// The tenant's schema is older than the service works with.
    SchemaTooOld = "SCHEMA_TOO_OLD": FailedPrecondition,
    /// The tenant's schema is newer than the service works with.
    SchemaTooNew = "SCHEMA_TOO_NEW": FailedPrecondition,
    /// The tenant's database does not answer.
    TenantDatabaseUnavailable = "TENANT_DATABASE_UNAVAILABLE": Unavailable,
    /// Where tenants live cannot be looked up.
    DirectoryUnavailable = "DIRECTORY_UNAVAILABLE": Unavailable,
    /// The connection broke during the commit.
    OutcomeUnknown = "OUTCOME_UNKNOWN": Aborted,
    /// No database connection was free in time.
    ConnectionsExhausted = "CONNECTIONS_EXHAUSTED": ResourceExhausted,

    /// No such person in the company.
    PersonNotFound = "PERSON_NOT_FOUND": NotFound,
    /// No such place in the company.
    PlaceNotFound = "PLACE_NOT_FOUND": NotFound,
    /// No such address in the company.
    AddressNotFound = "ADDRESS_NOT_FOUND": NotFound,
    /// Another of the same kind has the name.
    NameTaken = "NAME_TAKEN": AlreadyExists,
    /// Something else still needs it.
    InUse = "IN_USE": FailedPrecondition,
    /// Who has addresses has a primary one.
    PrimaryAddressRequired = "PRIMARY_ADDRESS_REQUIRED": FailedPrecondition,
    /// No such device in the company.
    DeviceNotFound = "DEVICE_NOT_FOUND": NotFound,
    /// No such manufacturer in the company.
    ManufacturerNotFound = "MANUFACTURER_NOT_FOUND": NotFound,
    /// No such tariff in the company.
    TariffNotFound = "TARIFF_NOT_FOUND": NotFound,
    /// The manufacturer has another device of the serial number.
    SerialTaken = "SERIAL_TAKEN": AlreadyExists,
    /// No such transaction in the company.
    TransactionNotFound = "TRANSACTION_NOT_FOUND": NotFound,
    /// No such debt in the company.
    DebtNotFound = "DEBT_NOT_FOUND": NotFound,
    /// The provider's id came before with another transaction.
    ExternalIdReused = "EXTERNAL_ID_REUSED": AlreadyExists,
    /// What is to be paid is in another currency.
    CurrencyMismatch = "CURRENCY_MISMATCH": FailedPrecondition,
    /// A sum would be more than can be counted.
    AmountOverflow = "AMOUNT_OVERFLOW": FailedPrecondition,
    /// It is no payment, or was refunded already.
    NotRefundable = "NOT_REFUNDABLE": FailedPrecondition,
    /// Nobody has the address.
    UserNotFound = "USER_NOT_FOUND": NotFound,
    /// No such ticket in the company.
    TicketNotFound = "TICKET_NOT_FOUND": NotFound,
    /// No such category of tickets in the company.
    TicketCategoryNotFound = "TICKET_CATEGORY_NOT_FOUND": NotFound,

    /// No such signing key.
    KeyNotFound = "KEY_NOT_FOUND": NotFound,
    /// The refresh token is unknown, used, over or signed out.
    RefreshTokenInvalid = "REFRESH_TOKEN_INVALID": Unauthenticated,
    /// Tokens of this type are not revoked.
    UnsupportedTokenType = "UNSUPPORTED_TOKEN_TYPE": InvalidArgument,
    /// A key would get a scope that its maker does not have.
    ScopeNotGrantable = "SCOPE_NOT_GRANTABLE": PermissionDenied,
    /// The company has as many API keys as it may have.
    TooManyApiKeys = "TOO_MANY_API_KEYS": ResourceExhausted,
    /// The company has no such API key.
    ApiKeyNotFound = "API_KEY_NOT_FOUND": NotFound,
    /// Too many wrong passwords.
    SignInThrottled = "SIGN_IN_THROTTLED": ResourceExhausted,

    /// No issuer of this id is registered.
    IssuerNotFound = "ISSUER_NOT_FOUND": NotFound,
    /// The issuer is registered already.
    IssuerExists = "ISSUER_EXISTS": AlreadyExists,
    /// The issuer's claim value leads to another company.
    IssuerCompanyExists = "ISSUER_COMPANY_EXISTS": AlreadyExists,
    /// The issuer's claim value leads nowhere.
    IssuerCompanyNotFound = "ISSUER_COMPANY_NOT_FOUND": NotFound,
    /// The issuer's user is linked to another of ours.
    IssuerUserExists = "ISSUER_USER_EXISTS": AlreadyExists,
    /// The issuer's user is linked to nobody.
    IssuerUserNotFound = "ISSUER_USER_NOT_FOUND": NotFound,
    /// The token is of an issuer that is not registered.
    IssuerUnknown = "ISSUER_UNKNOWN": Unauthenticated,
    /// The token's issuer is registered, and its tokens are not taken now.
    IssuerDisabled = "ISSUER_DISABLED": Unauthenticated,
    /// The issuer's keys cannot be had.
    IssuerKeysUnavailable = "ISSUER_KEYS_UNAVAILABLE": Unavailable,
    /// No signed token of the issuer's.
    ExternalTokenInvalid = "EXTERNAL_TOKEN_INVALID": Unauthenticated,
    /// The issuer's token is for somebody else.
    ExternalTokenAudience = "EXTERNAL_TOKEN_AUDIENCE": Unauthenticated,
    /// The issuer's token is over.
    ExternalTokenExpired = "EXTERNAL_TOKEN_EXPIRED": Unauthenticated,
    /// The issuer's token is of the future.
    ExternalTokenNotYetValid = "EXTERNAL_TOKEN_NOT_YET_VALID": Unauthenticated,
    /// The issuer's token was issued too long ago.
    ExternalTokenTooOld = "EXTERNAL_TOKEN_TOO_OLD": Unauthenticated,
    /// The issuer's token is signed in a way that is not taken.
    ExternalTokenAlgorithm = "EXTERNAL_TOKEN_ALGORITHM": Unauthenticated,
    /// The issuer has no key of the token's kid.
    ExternalTokenKeyUnknown = "EXTERNAL_TOKEN_KEY_UNKNOWN": Unauthenticated,
    /// The issuer's token brings its own key.
    ExternalTokenEmbeddedKey = "EXTERNAL_TOKEN_EMBEDDED_KEY": Unauthenticated,
    /// The issuer's token demands what is not understood.
    ExternalTokenCritical = "EXTERNAL_TOKEN_CRITICAL": Unauthenticated,
    /// What the issuer's token says of its company is mapped to none.
    ExternalCompanyNotMapped = "EXTERNAL_COMPANY_NOT_MAPPED": PermissionDenied,
    /// The issuer's user is nobody of ours.
    ExternalUserNotLinked = "EXTERNAL_USER_NOT_LINKED": PermissionDenied,
    /// No such appliance in the company.
    ApplianceNotFound = "APPLIANCE_NOT_FOUND": NotFound,
    /// No such sale in the company.
    SaleNotFound = "SALE_NOT_FOUND": NotFound,
    /// The sale has ended.
    SaleCancelled = "SALE_CANCELLED": FailedPrecondition,
    /// No such template of text messages in the company.
    SmsTemplateNotFound = "SMS_TEMPLATE_NOT_FOUND": NotFound,
    /// No such text message in the company.
    SmsNotFound = "SMS_NOT_FOUND": NotFound,
    /// Somebody has taken it since, under a later fence.
    LeaseLost = "LEASE_LOST": Aborted,
    /// Rows of an import are refused, and it is all or nothing.
    ImportRefused = "IMPORT_REFUSED": InvalidArgument,
    /// An import has more rows or bytes than are let in.
    ImportTooLarge = "IMPORT_TOO_LARGE": ResourceExhausted,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Reason {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text).ok_or(())
    }
}
