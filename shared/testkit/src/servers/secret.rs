use std::{fs::File, io::Read};

use super::ServerError;

/// A password of 128 random bits, in hex, so that it needs no quoting in SQL, URLs or shell.
pub(super) fn password() -> Result<String, ServerError> {
    Ok(hex(&random_bytes::<16>()?))
}

/// A short random name part. It keeps folders apart, and is no secret.
pub(super) fn tag() -> Result<String, ServerError> {
    Ok(hex(&random_bytes::<4>()?))
}

pub(super) fn random_bytes<const N: usize>() -> Result<[u8; N], ServerError> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(ServerError::io("read /dev/urandom"))?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_keeps_leading_zeroes() {
        assert_eq!(hex(&[0, 1, 0xab]), "0001ab");
    }

    #[test]
    fn passwords_differ_and_are_32_digits() -> Result<(), ServerError> {
        let (one, other) = (password()?, password()?);
        assert_ne!(one, other);
        assert_eq!(one.len(), 32);
        assert!(one.bytes().all(|byte| byte.is_ascii_hexdigit()));
        Ok(())
    }
}
