//! `LIKE … ESCAPE 'c'`: patterns are rewritten for the backslash, which is the one escape that DataFusion's kernels know.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result as DfResult, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::expr::Like;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

/// The pattern for another escape character as one for the backslash.
pub(super) fn with_backslash(mut like: Like) -> DfResult<Transformed<Expr>> {
    let escape = match like.escape_char {
        None | Some('\\') => return Ok(Transformed::no(Expr::Like(like))),
        Some(escape) => escape,
    };
    like.escape_char = None;
    let pattern = match *like.pattern {
        Expr::Literal(ScalarValue::Utf8(Some(pattern)), metadata) => {
            Expr::Literal(ScalarValue::Utf8(Some(translate(&pattern, escape)?)), metadata)
        }
        pattern => function().call(vec![pattern, lit(escape.to_string())]),
    };
    like.pattern = Box::new(pattern);
    Ok(Transformed::yes(Expr::Like(like)))
}

fn translate(pattern: &str, escape: char) -> DfResult<String> {
    let mut translated = String::with_capacity(pattern.len() + 2);
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        let literal = match char {
            _ if char == escape => Some(
                chars
                    .next()
                    .ok_or_else(|| exec_datafusion_err!("the LIKE pattern {pattern:?} ends with its escape"))?,
            ),
            '\\' => Some('\\'),
            _ => None,
        };
        if literal.is_some() {
            translated.push('\\');
        }
        translated.push(literal.unwrap_or(char));
    }
    Ok(translated)
}

/// `like_pattern(pattern, escape)`, for patterns that are computed.
pub(super) fn function() -> ScalarUDF {
    let signature = Signature::exact(vec![DataType::Utf8, DataType::Utf8], Volatility::Immutable);
    ScalarUDF::new_from_impl(LikePattern { signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct LikePattern {
    signature: Signature,
}

impl ScalarUDFImpl for LikePattern {
    fn name(&self) -> &str {
        "like_pattern"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [patterns, escapes] = arrays.as_slice() else {
            return Err(exec_datafusion_err!("like_pattern takes a pattern and an escape"));
        };
        let (patterns, escapes) = (patterns.as_string::<i32>(), escapes.as_string::<i32>());
        let one = |(pattern, escape): (Option<&str>, Option<&str>)| match (pattern, escape) {
            (Some(pattern), Some(escape)) => match (escape.chars().next(), escape.chars().nth(1)) {
                (Some(escape), None) => translate(pattern, escape).map(Some),
                _ => Err(exec_datafusion_err!("the escape of LIKE is one character, and {escape:?} is not")),
            },
            _ => Ok(None),
        };
        let translated: ArrayRef =
            Arc::new(patterns.iter().zip(escapes.iter()).map(one).collect::<DfResult<StringArray>>()?);
        Ok(ColumnarValue::Array(translated))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_backslashes() {
        let check = |pattern: &str, expected: &str| assert_eq!(translate(pattern, '$').unwrap(), expected);
        check("a%", "a%");
        check("50$%", r"50\%");
        check("$$_", r"\$_");
        check(r"c:\%", r"c:\\%");
        assert!(translate("a$", '$').is_err());
    }
}
