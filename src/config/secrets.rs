//! Secrets: those of the configuration, or generated once beside the data, in files only the owner can read.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use sluice_core::{
    token::{Key, Keyring},
    webhook,
};

use super::{Config, QueueTokenKey};

/// Everything that signs and verifies.
#[derive(Debug)]
pub(crate) struct Secrets {
    pub(crate) keyring: Keyring,
    pub(crate) webhook: webhook::Secrets,
}

/// The generated secrets, as they lie beside the data.
#[derive(Serialize, Deserialize)]
struct Generated {
    queue_token_keys: Vec<QueueTokenKey>,
    payment_webhook: Vec<String>,
}

impl Secrets {
    /// Takes the configured secrets, and generates those that are missing beside the data.
    pub(crate) fn ready(config: &Config) -> anyhow::Result<Self> {
        let configured = &config.secrets;
        let (mut queue, mut webhook) =
            (configured.queue_token_keys.clone(), configured.payment_webhook.clone());
        if queue.is_empty() || webhook.is_empty() {
            let generated = generated(&config.embedded.data_dir)?;
            if queue.is_empty() {
                queue = generated.queue_token_keys;
            }
            if webhook.is_empty() {
                webhook = generated.payment_webhook;
            }
        }
        Ok(Self {
            keyring: Keyring::new(&keys(&queue)).context("the queue token keys")?,
            webhook: webhook::Secrets::new(&webhook).context("the payment webhook secrets")?,
        })
    }
}

pub(super) fn keys(configured: &[QueueTokenKey]) -> Vec<Key> {
    configured.iter().map(|key| Key { id: key.id.clone(), secret: key.secret.clone() }).collect()
}

fn generated(data_dir: &Path) -> anyhow::Result<Generated> {
    let path = data_dir.join("secrets.toml");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let fresh = Generated {
                queue_token_keys: vec![QueueTokenKey {
                    id: "k1".into(),
                    secret: random_base64(32)?,
                }],
                payment_webhook: vec![format!("whsec_{}", random_base64(32)?)],
            };
            write_private(&path, &toml::to_string(&fresh)?)?
        }
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    toml::from_str(&text).with_context(|| {
        format!("{} is damaged; restore it, or delete it to invalidate every token", path.display())
    })
}

/// Where the generated admin token lies.
pub(crate) fn admin_token_file(data_dir: &Path) -> PathBuf {
    data_dir.join("admin-token")
}

/// The generated admin token; made on first use.
pub(crate) fn admin_token(data_dir: &Path) -> anyhow::Result<String> {
    let path = admin_token_file(data_dir);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let bytes = random_bytes(32)?;
            write_private(&path, &base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))?
        }
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    Ok(text.trim().to_owned())
}

/// Writes a file that only its owner can read; one that appeared meanwhile wins. Returns what the file holds.
fn write_private(path: &Path, text: &str) -> anyhow::Result<String> {
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .with_context(|| format!("writing {}", partial.display()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    match fs::hard_link(&partial, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("writing {}", path.display()));
        }
        Ok(()) | Err(_) => {}
    }
    fs::remove_file(&partial)?;
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

fn random_base64(bytes: usize) -> anyhow::Result<String> {
    Ok(STANDARD.encode(random_bytes(bytes)?))
}

/// From the operating system's generator.
fn random_bytes(count: usize) -> anyhow::Result<Vec<u8>> {
    use rand::TryRng;
    let mut bytes = vec![0; count];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).context("the system's random generator")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn secrets_are_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let first = generated(folder.path()).unwrap();
        let again = generated(folder.path()).unwrap();
        assert_eq!(first.queue_token_keys[0].secret, again.queue_token_keys[0].secret);
        assert_eq!(admin_token(folder.path()).unwrap(), admin_token(folder.path()).unwrap());
        for name in ["secrets.toml", "admin-token"] {
            let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing partial is left");
    }
}
