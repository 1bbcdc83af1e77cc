fn main() -> Result<(), Box<dyn std::error::Error>> {
    tenantry_build::compile_ours()
}
