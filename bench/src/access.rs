//! What it costs to know who may do what.

use std::time::{Duration, Instant};

use millstream_engine::{
    Credentials, Engine, Principal, Right, Rights, Scope, ScopeKind, TableOptions, TableSpec, UserSpec,
};

use crate::report::{Figure, median, percentile};
use crate::store::Store;
use crate::{Result, Scale, data, guarded, single};

const PASSWORD: &str = "of the bench";
const NAMESPACE: &str = "public";
/// Each of a role's grants is on a table of its own, on all that begin alike, or on a group.
const GRANTS_OF_ROLE: usize = 10;
const ROLES_OF_USER: usize = 100;
const WRITERS: usize = 64;

/// Figures `access_check_p99`, `single_rows_with_users`, and those of [`guarded`].
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let mut figures = vec![checks(scale)?, single_rows(scale)?];
    figures.extend(guarded::run(scale)?);
    Ok(figures)
}

fn checks(scale: Scale) -> Result<Figure> {
    let roles = scale.pick(200, 10_000);
    let store = Store::open(|options| options.segment_threads = 0)?;
    let engine = &store.engine;
    for number in 0..100 {
        table(engine, &table_name(number))?;
    }
    let admin = administrator(engine)?;
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let make = |writer: usize| {
            let admin = admin.clone();
            scope.spawn(move || (writer..roles).step_by(WRITERS).try_for_each(|number| role(engine, &admin, number)))
        };
        let writers: Vec<_> = (0..WRITERS).map(make).collect();
        writers.into_iter().try_for_each(|writer| writer.join().map_err(|_| "a writer has panicked")?)
    })?;
    let made = begun.elapsed().as_secs_f64();
    let user = user(engine, &admin, "worker")?;
    for number in 0..ROLES_OF_USER.min(roles) {
        engine.give_role(&admin, &role_name(number), "worker")?;
    }
    // The first check gathers the rights.
    let begun = Instant::now();
    engine.table(&user, NAMESPACE, &table_name(0))?;
    let first = begun.elapsed().as_secs_f64() * 1e6;
    let ask = |who: &Principal| -> Result<Vec<f64>> {
        let mut times = Vec::with_capacity(200_000);
        for round in 0..200_000 {
            let name = table_name(round % 100);
            let begun = Instant::now();
            engine.table(who, NAMESPACE, &name)?;
            times.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        Ok(times)
    };
    let (mut of_user, mut of_system) = (ask(&user)?, ask(&Principal::system())?);
    let value = percentile(&mut of_user, 0.99);
    let note = format!(
        "a table looked up by its name and checked, {roles} roles with {} grants, a user with {} of them; median {:.2} µs, {:.2} µs without the check; \
         the first check {first:.0} µs; roles and grants made in {made:.0} s",
        roles * GRANTS_OF_ROLE,
        ROLES_OF_USER.min(roles),
        median(of_user),
        percentile(&mut of_system, 0.5),
    );
    Ok(Figure::reported("access_check_p99", value, "µs", note).value_at_most(5.0))
}

/// In turns, so that what the disk does meanwhile concerns both.
fn single_rows(scale: Scale) -> Result<Figure> {
    let time = Duration::from_secs(scale.pick(1, 5));
    let store = Store::open(|options| options.segment_threads = 0)?;
    let open = single::table(&store.engine, 1)?;
    let guarded_store = Store::open(|options| options.segment_threads = 0)?;
    let guarded = single::table(&guarded_store.engine, 1)?;
    let admin = administrator(&guarded_store.engine)?;
    let user = user(&guarded_store.engine, &admin, "worker")?;
    let produce = Rights::NONE.with(Right::Produce);
    guarded_store.engine.grant(&admin, "worker", &Scope::within(ScopeKind::Table, NAMESPACE, "rows_*"), produce)?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..scale.pick(1, 5) {
        let (rows, seconds) = single::drive(&store.engine, &Principal::anonymous(), open, time, 1_000)?;
        without.push(rows as f64 / seconds);
        let (rows, seconds) = single::drive(&guarded_store.engine, &user, guarded, time, 1_000)?;
        with.push(rows as f64 / seconds);
    }
    let note = "rows of 1 KB from one thread in the same process, which does nothing else, each checked for a user with one grant; limit: without users, in turns";
    Ok(Figure::reported("single_rows_with_users", median(with), "rows/s", note).beside(median(without)))
}

fn administrator(engine: &Engine) -> Result<Principal> {
    engine.init_administrator(PASSWORD)?;
    log_in(engine, "admin")
}

fn user(engine: &Engine, admin: &Principal, name: &str) -> Result<Principal> {
    engine.create_user(admin, UserSpec { name: name.to_owned(), ..UserSpec::default() }, Some(PASSWORD))?;
    log_in(engine, name)
}

fn log_in(engine: &Engine, user: &str) -> Result<Principal> {
    Ok(engine.authenticate(Some(Credentials::Password { user, password: PASSWORD }), None)?)
}

fn role_name(number: usize) -> String {
    format!("role_{number}")
}

fn table_name(number: usize) -> String {
    format!("table_{number}")
}

fn table(engine: &Engine, name: &str) -> Result<()> {
    let (namespace, name, schema) = (NAMESPACE.to_owned(), name.to_owned(), data::kilobyte_row(0)?.schema());
    engine.create_table(
        &Principal::anonymous(),
        TableSpec { namespace, name, schema, options: TableOptions::default() },
    )?;
    Ok(())
}

fn role(engine: &Engine, admin: &Principal, number: usize) -> Result<()> {
    let name = role_name(number);
    engine.create_role(admin, &name)?;
    for grant in 0..GRANTS_OF_ROLE {
        let scope = match grant % 3 {
            0 => Scope::within(ScopeKind::Table, NAMESPACE, &table_name((number + grant * 7) % 100)),
            1 => Scope::within(ScopeKind::Table, NAMESPACE, &format!("t_{number}_{grant}*")),
            _ => Scope::within(ScopeKind::Group, NAMESPACE, &format!("group_{number}_{grant}")),
        };
        engine.grant(admin, &name, &scope, Rights::NONE.with(Right::Read))?;
    }
    Ok(())
}
