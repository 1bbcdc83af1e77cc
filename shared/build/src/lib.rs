//! Compiles a service's protos, with a protobuf compiler in Rust, so that no system `protoc` is needed.
//!
//! A service of your own has a `build.rs` of one line, and its protos in a folder beside it:
//!
//! ```no_run
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     tenantry_build::compile("proto")
//! }
//! ```
//!
//! Its `lib.rs` takes in what comes out by `tenantry_api::contract!()`. The protos may import ours, such as
//! `tenantry/options/v1/access.proto`, whose types are those of `tenantry-api`; so their own package must not begin with
//! `tenantry.`.

use std::path::{Path, PathBuf};
use std::{env, error, fs, io};

/// Our protos, which others import.
const OURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto");

/// Compiles every proto below `folder` (from the crate's root) into `$OUT_DIR/modules.rs`, and the descriptor set for
/// reflection and for the access rules into `$OUT_DIR/descriptors.binpb`.
///
/// # Errors
/// Whatever is wrong with the protos, with file and line.
pub fn compile(folder: impl AsRef<Path>) -> Result<(), Box<dyn error::Error>> {
    let root = crate_root()?.join(folder);
    println!("cargo:rerun-if-changed={OURS}");
    generate(&root, &[root.as_path(), Path::new(OURS)], |prost| {
        prost.codec_path("::tenantry_api::codec::CheckedCodec").extern_path(".tenantry", "::tenantry_api")
    })
}

/// Compiles our own protos, for `tenantry-api` itself.
///
/// # Errors
/// As [`compile`].
pub fn compile_ours() -> Result<(), Box<dyn error::Error>> {
    let root = Path::new(OURS);
    generate(root, &[root], |prost| prost.codec_path("crate::codec::CheckedCodec"))
}

fn generate(
    root: &Path,
    includes: &[&Path],
    names: impl FnOnce(tonic_prost_build::Builder) -> tonic_prost_build::Builder,
) -> Result<(), Box<dyn error::Error>> {
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    proto_files(root, &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new(includes)?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;

    // The encoded set keeps custom options, which prost-types' own type drops.
    fs::write(out()?.join("descriptors.binpb"), compiler.encode_file_descriptor_set())?;
    // A third of it without the comments, which rules have no need of at every start.
    let bare = compiler.include_source_info(false).encode_file_descriptor_set();
    fs::write(out()?.join("bare_descriptors.binpb"), bare)?;
    compiler.include_source_info(true);

    names(tonic_prost_build::configure())
        // The same message is the same bytes each time: request ids are told from reuses by a digest.
        .btree_map(".")
        .include_file("modules.rs")
        .enum_attribute(".", "#[allow(clippy::enum_variant_names)]")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

fn proto_files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            proto_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    Ok(())
}

#[allow(clippy::disallowed_methods)] // Cargo speaks to build scripts by environment.
fn crate_root() -> Result<PathBuf, env::VarError> {
    env::var("CARGO_MANIFEST_DIR").map(PathBuf::from)
}

#[allow(clippy::disallowed_methods)]
fn out() -> Result<PathBuf, env::VarError> {
    env::var("OUT_DIR").map(PathBuf::from)
}
