//! What the server says of itself (GetSqlInfo) and of its types (GetXdbcTypeInfo).

use std::sync::LazyLock;

use arrow::array::RecordBatch;
use arrow_flight::sql::metadata::{
    SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder,
};
use arrow_flight::sql::{
    Nullable, Searchable, SqlInfo, SqlNullOrdering, SqlSupportedCaseSensitivity, SqlSupportedTransaction, XdbcDataType,
    XdbcDatetimeSubcode,
};

use super::error::{DoorError, Result};
use super::query::MAX_STATEMENT_BYTES;

/// The entries asked for; all if none is named.
pub(super) fn answer(entries: Vec<u32>) -> Result<RecordBatch> {
    let data = SQL_INFO.as_ref().map_err(Clone::clone)?;
    let mut wanted = entries;
    // Each one costs a pass over the entries: ask once for each.
    wanted.sort_unstable();
    wanted.dedup();
    wanted.truncate(4096);
    data.record_batch(wanted).map_err(|error| DoorError::internal(error.to_string()))
}

/// The types, or the one asked for.
pub(super) fn types(data_type: Option<i32>) -> Result<RecordBatch> {
    let data = TYPES.as_ref().map_err(Clone::clone)?;
    data.record_batch(data_type).map_err(|error| DoorError::internal(error.to_string()))
}

static SQL_INFO: LazyLock<Result<SqlInfoData>> = LazyLock::new(|| {
    let mut info = SqlInfoDataBuilder::new();
    info.append(SqlInfo::FlightSqlServerName, "Millstream");
    info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(SqlInfo::FlightSqlServerArrowVersion, arrow::ARROW_VERSION);
    info.append(SqlInfo::FlightSqlServerReadOnly, false);
    info.append(SqlInfo::FlightSqlServerSql, true);
    info.append(SqlInfo::FlightSqlServerSubstrait, false);
    info.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    info.append(SqlInfo::FlightSqlServerCancel, true);
    info.append(SqlInfo::FlightSqlServerBulkIngestion, true);
    info.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    info.append(SqlInfo::FlightSqlServerStatementTimeout, 0i32);
    info.append(SqlInfo::FlightSqlServerTransactionTimeout, 0i32);
    info.append(SqlInfo::SqlDdlCatalog, false);
    info.append(SqlInfo::SqlDdlSchema, true);
    info.append(SqlInfo::SqlDdlTable, true);
    info.append(SqlInfo::SqlIdentifierCase, SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32);
    info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    info.append(SqlInfo::SqlQuotedIdentifierCase, SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32);
    info.append(SqlInfo::SqlAllTablesAreSelectable, true);
    info.append(SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32);
    info.append(SqlInfo::SqlSupportsColumnAliasing, true);
    info.append(SqlInfo::SqlNullPlusNullIsNull, true);
    info.append(SqlInfo::SqlSupportsTableCorrelationNames, true);
    info.append(SqlInfo::SqlSupportsExpressionsInOrderBy, true);
    info.append(SqlInfo::SqlSupportsOrderByUnrelated, true);
    info.append(SqlInfo::SqlSupportsLikeEscapeClause, true);
    info.append(SqlInfo::SqlSupportsNonNullableColumns, true);
    info.append(SqlInfo::SqlSchemaTerm, "namespace");
    info.append(SqlInfo::SqlCatalogTerm, "catalog");
    info.append(SqlInfo::SqlCatalogAtStart, true);
    info.append(SqlInfo::SqlSelectForUpdateSupported, false);
    info.append(SqlInfo::SqlStoredProceduresSupported, false);
    info.append(SqlInfo::SqlCorrelatedSubqueriesSupported, true);
    info.append(SqlInfo::SqlMaxStatementLength, MAX_STATEMENT_BYTES as i64);
    info.append(SqlInfo::SqlTransactionsSupported, false);
    info.append(SqlInfo::SqlDataDefinitionCausesTransactionCommit, false);
    info.append(SqlInfo::SqlDataDefinitionsInTransactionsIgnored, false);
    info.append(SqlInfo::SqlBatchUpdatesSupported, true);
    info.append(SqlInfo::SqlSavepointsSupported, false);
    info.append(SqlInfo::SqlNamedParametersSupported, false);
    info.append(SqlInfo::SqlLocatorsUpdateCopy, false);
    info.append(SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported, false);
    info.build().map_err(|error| DoorError::internal(error.to_string()))
});

static TYPES: LazyLock<Result<XdbcTypeInfoData>> = LazyLock::new(|| {
    let mut types = XdbcTypeInfoDataBuilder::new();
    let number = |name: &str, kind: XdbcDataType, digits: i32| XdbcTypeInfo {
        num_prec_radix: Some(10),
        unsigned_attribute: Some(name.ends_with("UNSIGNED")),
        ..plain(name, kind, digits)
    };
    let text = |name: &str, kind: XdbcDataType, prefix: &str| XdbcTypeInfo {
        literal_prefix: Some(prefix.to_owned()),
        literal_suffix: Some("'".to_owned()),
        case_sensitive: true,
        ..plain(name, kind, i32::MAX)
    };
    types.append(plain("BOOLEAN", XdbcDataType::XdbcBit, 1));
    types.append(number("TINYINT", XdbcDataType::XdbcTinyint, 3));
    types.append(number("SMALLINT", XdbcDataType::XdbcSmallint, 5));
    types.append(number("INT", XdbcDataType::XdbcInteger, 10));
    types.append(number("BIGINT", XdbcDataType::XdbcBigint, 19));
    types.append(number("TINYINT UNSIGNED", XdbcDataType::XdbcTinyint, 3));
    types.append(number("SMALLINT UNSIGNED", XdbcDataType::XdbcSmallint, 5));
    types.append(number("INT UNSIGNED", XdbcDataType::XdbcInteger, 10));
    types.append(number("BIGINT UNSIGNED", XdbcDataType::XdbcBigint, 20));
    types.append(number("REAL", XdbcDataType::XdbcReal, 7));
    types.append(number("DOUBLE", XdbcDataType::XdbcDouble, 15));
    types.append(XdbcTypeInfo {
        create_params: Some(vec!["precision".to_owned(), "scale".to_owned()]),
        minimum_scale: Some(0),
        maximum_scale: Some(38),
        fixed_prec_scale: true,
        ..number("DECIMAL", XdbcDataType::XdbcDecimal, 38)
    });
    types.append(text("VARCHAR", XdbcDataType::XdbcVarchar, "'"));
    types.append(text("BYTEA", XdbcDataType::XdbcVarbinary, "X'"));
    types.append(XdbcTypeInfo {
        // Number 1, which the specification also calls that of DATE.
        datetime_subcode: Some(XdbcDatetimeSubcode::XdbcSubcodeYear),
        case_sensitive: false,
        column_size: Some(10),
        ..text("DATE", XdbcDataType::XdbcDate, "DATE '")
    });
    types.append(XdbcTypeInfo {
        datetime_subcode: Some(XdbcDatetimeSubcode::XdbcSubcodeTimestamp),
        case_sensitive: false,
        column_size: Some(29),
        ..text("TIMESTAMP", XdbcDataType::XdbcTimestamp, "TIMESTAMP '")
    });
    types.build().map_err(|error| DoorError::internal(error.to_string()))
});

fn plain(name: &str, kind: XdbcDataType, size: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        type_name: name.to_owned(),
        local_type_name: Some(name.to_owned()),
        data_type: kind,
        sql_data_type: kind,
        column_size: Some(size),
        nullable: Nullable::NullabilityNullable,
        searchable: Searchable::Full,
        auto_increment: Some(false),
        ..XdbcTypeInfo::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Go driver panics, and takes its process with it, on any other schema.
    #[test]
    fn the_schema_is_the_specification_s() {
        let schema = answer(vec![SqlInfo::FlightSqlServerTransaction as u32]).unwrap().schema();
        let fields: Vec<String> = schema.fields().iter().map(|field| format!("{field}")).collect();
        let expected = SqlInfoDataBuilder::schema();
        assert_eq!(schema.fields(), expected.fields(), "{fields:?}");
        let arrow::datatypes::DataType::Union(values, arrow::datatypes::UnionMode::Dense) = schema.field(1).data_type()
        else {
            panic!("not a dense union");
        };
        let names: Vec<&str> = values.iter().map(|(_, field)| field.name().as_str()).collect();
        assert_eq!(
            names,
            ["string_value", "bool_value", "bigint_value", "int32_bitmask", "string_list", "int32_to_int32_list_map"]
        );
    }

    #[test]
    fn transactions_are_said_to_be_unsupported() {
        assert_eq!(answer(vec![SqlInfo::FlightSqlServerTransaction as u32]).unwrap().num_rows(), 1);
        assert!(answer(Vec::new()).unwrap().num_rows() > 30);
        assert_eq!(answer(vec![1_000_000]).unwrap().num_rows(), 0);
    }

    #[test]
    fn types_can_be_asked_for_singly() {
        assert_eq!(types(Some(XdbcDataType::XdbcVarchar as i32)).unwrap().num_rows(), 1);
        assert_eq!(types(None).unwrap().num_rows(), 16);
    }
}
