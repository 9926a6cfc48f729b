//! Forms of settings: how each kind of value is shown and read.

macro_rules! bytes {
    ($key:literal, $range:expr, $($field:ident).+ as $type:ty, $help:literal) => {
        Setting { key: $key, help: $help, access: Access::Bytes {
            range: $range,
            get: |config| config.$($field).+ as u64,
            set: |config, value| config.$($field).+ = value as $type,
        } }
    };
}

macro_rules! number {
    ($key:literal, $range:expr, $($field:ident).+ as $type:ty, $help:literal) => {
        Setting { key: $key, help: $help, access: Access::Number {
            range: $range,
            get: |config| config.$($field).+ as u64,
            set: |config, value| config.$($field).+ = value as $type,
        } }
    };
}

macro_rules! millis {
    ($key:literal, $range:expr, $($field:ident).+, $help:literal) => {
        Setting {
            key: $key,
            help: $help,
            access: Access::Number {
                range: $range,
                get: |config| u64::try_from(config.$($field).+.as_millis()).unwrap_or(u64::MAX),
                set: |config, value| config.$($field).+ = std::time::Duration::from_millis(value),
            },
        }
    };
}

macro_rules! text {
    ($key:literal, $form:literal, $get:expr, $set:expr, $help:literal) => {
        Setting { key: $key, help: $help, access: Access::Text { form: $form, get: $get, set: $set } }
    };
}

macro_rules! flag {
    ($key:literal, $($field:ident).+, $help:literal) => {
        text!(
            $key,
            "BOOL",
            |config| config.$($field).+.to_string(),
            |config, text| {
                config.$($field).+ = parse_bool(text)?;
                Ok(())
            },
            $help
        )
    };
}

/// A text that is taken as it is.
macro_rules! verbatim {
    ($key:literal, $form:literal, $($field:ident).+, $help:literal) => {
        text!(
            $key,
            $form,
            |config| config.$($field).+.clone(),
            |config, text| {
                text.clone_into(&mut config.$($field).+);
                Ok(())
            },
            $help
        )
    };
}

pub(super) use {bytes, flag, millis, number, text, verbatim};
