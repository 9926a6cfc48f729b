//! How commands say who they are: one way for all that talk to a server.

use std::path::PathBuf;

use clap::Args;
use millstream_client::Credentials;

use super::exit::Failure;
use super::secrets;

/// What to log in with. Flags go before variables.
#[derive(Clone, Args)]
pub(crate) struct Login {
    /// Log in as this user; without a password he is asked for it [env: MILLSTREAM_USER=]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// His password. Every user of the machine can see flags: use the variable, or a file [env: MILLSTREAM_PASSWORD=]
    #[arg(long, value_name = "PASSWORD")]
    password: Option<String>,
    /// A file that holds his password and nothing else, or - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    password_file: Option<PathBuf>,
    /// Log in by a token, as CREATE TOKEN gives it [env: MILLSTREAM_TOKEN=]
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["user", "password", "password_file"])]
    token: Option<String>,
}

/// Without the secrets.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Login {
    /// `None`: nothing is shown.
    pub(crate) fn credentials(&self) -> Result<Option<Credentials>, Failure> {
        self.by(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn by(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Credentials>, Failure> {
        if let Some(token) = &self.token {
            return Ok(Some(Credentials::token(token)));
        }
        let is_flagged = self.user.is_some() || self.password.is_some() || self.password_file.is_some();
        if let Some(token) = variable("MILLSTREAM_TOKEN").filter(|_| !is_flagged) {
            return Ok(Some(Credentials::token(token)));
        }
        let Some(user) = self.user.clone().or_else(|| variable("MILLSTREAM_USER")) else {
            return match is_flagged {
                true => Err(Failure::usage("whose password is it: say --user NAME, or MILLSTREAM_USER")),
                false => Ok(None),
            };
        };
        let given = match &self.password_file {
            Some(path) => Some(secrets::read_file(path)?),
            None => self.password.clone().or_else(|| variable("MILLSTREAM_PASSWORD")),
        };
        let password = match given {
            Some(password) => password,
            None => secrets::ask(&user)?.unwrap_or_default(),
        };
        Ok(Some(Credentials::password(user, password)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(user: Option<&str>, password: Option<&str>, token: Option<&str>, variables: &[(&str, &str)]) -> String {
        let text = |given: Option<&str>| given.map(str::to_owned);
        let login = Login { user: text(user), password: text(password), password_file: None, token: text(token) };
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        match login.by(variable) {
            Ok(None) => "nobody".to_owned(),
            Ok(Some(Credentials::Password { user, password })) => format!("{user}/{password}"),
            Ok(Some(Credentials::Token(token))) => token,
            Ok(Some(other)) => format!("{other:?}"),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn flags_go_before_variables() {
        let of_bob = [("MILLSTREAM_USER", "bob"), ("MILLSTREAM_PASSWORD", "p")];
        let both = [of_bob[0], of_bob[1], ("MILLSTREAM_TOKEN", "t")];
        assert_eq!(shown(None, None, None, &[]), "nobody");
        assert_eq!(shown(None, None, None, &of_bob), "bob/p");
        assert_eq!(shown(None, None, None, &both), "t");
        assert_eq!(shown(Some("ann"), None, None, &both), "ann/p");
        assert_eq!(shown(Some("ann"), Some("q"), None, &both), "ann/q");
        assert_eq!(shown(None, Some("q"), None, &both), "bob/q");
        assert_eq!(shown(None, None, Some("u"), &both), "u");
        assert!(shown(None, Some("q"), None, &[]).contains("--user"));
    }
}
