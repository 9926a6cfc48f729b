//! Names of what the functions of this room compute.

use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hasher};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Expr;

/// Columns, literals and operators that a name spells out.
const SPELLED_OUT: usize = 16;

/// An operand's name. DataFusion asks each expression of a plan for its name over and over, and a function's name holds those of
/// its operands as text: of a long chain they would take the cube of its length. Large operands are told apart by a hash
/// instead; columns that a statement gives have their names from before there were such functions in it.
pub(super) fn operand(expr: &Expr) -> String {
    let mut nodes = 0_usize;
    let walked = expr.apply(|_| {
        nodes += 1;
        Ok(if nodes > SPELLED_OUT { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    debug_assert!(walked.is_ok(), "the walk itself cannot fail");
    if nodes <= SPELLED_OUT {
        return expr.schema_name().to_string();
    }
    // Of the text, which is the same while arithmetic is checked and while it is plain.
    let mut hashed = Hashed(DefaultHasher::new());
    let written = write!(hashed, "{}", expr.schema_name());
    debug_assert!(written.is_ok(), "a hash takes any text");
    format!("#{:016x}", hashed.0.finish())
}

struct Hashed(DefaultHasher);

impl fmt::Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// The name of a call.
pub(super) fn call(function: &str, args: &[Expr]) -> String {
    format!("{function}({})", args.iter().map(operand).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{Operator, binary_expr, col, lit};

    use super::*;

    #[test]
    fn large_operands_are_told_apart_by_short_names() {
        let chain = |last: i64| (0..50).fold(lit(last), |chain, _| binary_expr(chain, Operator::Plus, col("a")));
        let checked =
            (0..50).fold(lit(1_i64), |chain, _| crate::values::arithmetic::binary(chain, Operator::Plus, col("a")));
        let (one, other) = (operand(&chain(1)), operand(&chain(2)));
        assert!(one.len() == 17 && one != other, "{one} {other}");
        assert_eq!(one, operand(&checked));
        assert_eq!(operand(&binary_expr(col("a"), Operator::Plus, col("b"))), "a + b");
        assert_eq!(call("f", &[col("a"), lit(1_i64)]), "f(a,Int64(1))");
    }
}
