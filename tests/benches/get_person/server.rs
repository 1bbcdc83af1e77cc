//! A server as a process of its own: this program again, with other arguments.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tenantry_testkit::process::Process;

/// Ticks in a second, in what Linux tells of a process.
const TICKS: u32 = 100;

pub(crate) struct Server {
    process: Process,
    address: SocketAddr,
}

impl Server {
    pub(crate) async fn start(words: &[String]) -> anyhow::Result<Self> {
        let mut process = Process::start(command(words)?)?;
        let address = process.says(|said| said.lines().find_map(listens_on)).await?;
        Ok(Self { process, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has used, in its own code and in the kernel's.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // After the name, which may have blanks; proc(5) counts from 1 and has these as 14 and 15.
        let (_, fields) = stat.rsplit_once(") ").context("a process without a name")?;
        let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u32>).sum::<Result<u32, _>>()?;
        Ok(Duration::from_secs(1) * ticks / TICKS)
    }

    /// What it has in memory.
    pub(crate) fn resident_kib(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process without memory")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

/// How long it takes from the start to the line that says where it listens, the median of so many.
pub(crate) fn ready_in(words: &[String], times: usize) -> anyhow::Result<Duration> {
    let mut all = Vec::new();
    for _ in 0..times {
        let mut command = command(words)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let begun = Instant::now();
        let mut child = command.spawn()?;
        let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let said = lines.map_while(Result::ok).find_map(|line| listens_on(&line));
        all.push(begun.elapsed());
        child.kill()?;
        child.wait()?;
        anyhow::ensure!(said.is_some(), "{words:?} does not listen");
    }
    all.sort();
    Ok(all[all.len() / 2])
}

fn command(words: &[String]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(words).env_clear();
    Ok(command)
}

fn listens_on(line: &str) -> Option<SocketAddr> {
    line.split_once(" listens on ")?.1.trim().parse().ok()
}
