//! Where a provider's keys are read from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, Url, redirect};
use serde::Deserialize;

use super::settings::OidcSettings;

/// What is read of one answer or file.
const MAX_BYTES: usize = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(10);
/// Providers show a new key before they sign with it.
const ADDRESS_PERIOD: Duration = Duration::from_secs(300);
const FILE_PERIOD: Duration = Duration::from_secs(1);
/// Behind the issuer's address (OpenID Connect Discovery).
const DESCRIPTION: &str = ".well-known/openid-configuration";

#[derive(Debug)]
pub(super) enum Source {
    File(PathBuf),
    Keys(Client, Url),
    /// The provider's description says where they are.
    Issuer {
        client: Client,
        issuer: String,
        description: Url,
    },
}

#[derive(Deserialize)]
struct Description {
    issuer: String,
    jwks_uri: String,
}

impl Source {
    pub(super) fn new(settings: &OidcSettings) -> Result<Source, String> {
        let given = settings.jwks.as_str();
        if !given.is_empty() && !given.contains("://") {
            return Ok(Source::File(given.into()));
        }
        let client = || {
            let made = Client::builder().timeout(TIMEOUT).redirect(redirect::Policy::none()).build();
            made.map_err(|error| format!("oidc_jwks can't be asked for: {error}"))
        };
        if !given.is_empty() {
            return Ok(Source::Keys(client()?, address("oidc_jwks", given)?));
        }
        let issuer = settings.issuer.clone();
        let description = format!("{}/{DESCRIPTION}", issuer.trim_end_matches('/'));
        Ok(Source::Issuer { client: client()?, description: address("oidc_issuer", &description)?, issuer })
    }

    pub(super) fn period(&self) -> Duration {
        match self {
            Source::File(_) => FILE_PERIOD,
            Source::Keys(..) | Source::Issuer { .. } => ADDRESS_PERIOD,
        }
    }

    /// A JWK set.
    pub(super) async fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Source::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || file(&path)).await;
                read.unwrap_or_else(|error| Err(error.to_string()))
            }
            Source::Keys(client, url) => get(client, url.clone()).await,
            Source::Issuer { client, issuer, description } => {
                let described = get(client, description.clone()).await?;
                let described: Description = serde_json::from_slice(&described)
                    .map_err(|error| format!("{description} describes no provider: {error}"))?;
                if described.issuer != *issuer {
                    return Err(format!("{description} is of another issuer, {:.200?}", described.issuer));
                }
                get(client, address("jwks_uri", &described.jwks_uri)?).await
            }
        }
    }
}

/// Keys decide who is let in, so that they don't come over a wire that others can write to.
fn address(what: &str, text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("{what}: {text:.200?} is no URL: {error}"))?;
    let is_here = match url.host_str() {
        Some("localhost") => true,
        Some(host) => host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here => Ok(url),
        _ => Err(format!("{what}: {text:.200?} has to begin with https://, or to be on this machine")),
    }
}

fn file(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let read = || {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(MAX_BYTES.saturating_add(1) as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error: std::io::Error| format!("{}: {error}", path.display()))?;
    if bytes.len() > MAX_BYTES {
        return Err(format!("{} has more than {MAX_BYTES} bytes", path.display()));
    }
    Ok(bytes)
}

async fn get(client: &Client, url: Url) -> Result<Vec<u8>, String> {
    let failed = |error: reqwest::Error| format!("{url}: {}", causes(&error));
    let mut response = client.get(url.clone()).send().await.map_err(failed)?;
    if !response.status().is_success() {
        return Err(format!("{url} answers {}", response.status()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if bytes.len().saturating_add(chunk.len()) > MAX_BYTES {
            return Err(format!("{url} answers with more than {MAX_BYTES} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// What lies below an error of the client, which says little by itself.
fn causes(error: &reqwest::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(below) = last.source() {
        last = below;
    }
    last.to_string()
}
