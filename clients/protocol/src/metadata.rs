//! Names of what calls and answers carry beside their messages. Over HTTP/1 they are headers.

/// With a status: the name of the [`ErrorKind`](crate::ErrorKind), in lower case.
pub const ERROR_KIND_METADATA: &str = "millstream-error-kind";
/// With a call: the namespace that unqualified names are looked up in.
pub const NAMESPACE_METADATA: &str = "millstream-namespace";
/// With a call: how long its statement may take, in milliseconds; the server may allow less.
pub const STATEMENT_TIMEOUT_METADATA: &str = "millstream-statement-timeout-ms";
