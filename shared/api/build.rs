//! Compiles `proto/` with a protobuf compiler in Rust, so that no system
//! `protoc` is needed, and keeps the descriptor set for reflection and for the
//! access rules.

use std::path::{Path, PathBuf};
use std::{env, error, fs};

#[allow(clippy::disallowed_methods)] // Cargo speaks to build scripts by environment.
fn main() -> Result<(), Box<dyn error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed={}", root.display());

    let mut files = Vec::new();
    proto_files(&root, &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;

    // The encoded set keeps custom options, which prost-types' own type drops.
    fs::write(out.join("descriptors.binpb"), compiler.encode_file_descriptor_set())?;

    tonic_prost_build::configure()
        .codec_path("crate::codec::CheckedCodec")
        // The same message is the same bytes each time: request ids are told from reuses by a digest.
        .btree_map(".")
        .include_file("modules.rs")
        .enum_attribute(".", "#[allow(clippy::enum_variant_names)]")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

fn proto_files(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
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
