//! What the program says to try, pasted as it stands.

mod sqlite {
    use anyhow::Context as _;
    use serde_json::Value;
    use tenantry_testkit::process::run;

    use crate::clients::{command, tool};
    use crate::processes::Standalone;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_three_commands_work_in_a_shell() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let standalone = Standalone::start(folder.path()).await?;
        let buf = tool("TENANTRY_TEST_BUF")?;
        let mut path = vec![buf.parent().context("no folder")?.to_owned()];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").context("no PATH")?));

        let mut shell = command("bash");
        shell.env("PATH", std::env::join_paths(path)?).env("HOME", folder.path()).current_dir(folder.path());
        shell.arg("-euo").arg("pipefail").arg("-c").arg(standalone.commands.join("\n"));
        let said = run(shell).await?.success()?;

        // The second one fills a variable, and says nothing.
        let answers = serde_json::Deserializer::from_str(&said).into_iter::<Value>().collect::<Result<Vec<_>, _>>()?;
        let [company, person] = answers.as_slice() else { anyhow::bail!("not two answers: {said}") };
        assert_eq!(company["name"], "Sunrise Energy");
        assert_eq!(company["slug"], "sunrise-energy");
        assert_eq!(company["state"], "COMPANY_STATE_ACTIVE");
        assert_eq!((&person["name"], &person["surname"]), (&Value::from("Grace"), &Value::from("Hopper")));
        assert!(person["id"].is_string(), "{person}");
        standalone.process.stop("INT").await.map(drop)
    }
}
