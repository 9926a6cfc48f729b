//! The modules of a crate and what each names of the others, read from its sources. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Its names from the root of the crate down; the root's is empty.
pub(crate) type ModulePath = Vec<String>;

/// Which module names which.
pub(crate) type Uses = BTreeMap<ModulePath, BTreeSet<ModulePath>>;

/// How far a name is followed through imports before it is given up.
const LONGEST_WAY: usize = 32;

#[derive(Debug, Default)]
struct Module {
    imports: Vec<Import>,
    /// Paths in its code, of two names and more.
    paths: Vec<Vec<String>>,
    items: BTreeSet<String>,
}

#[derive(Debug)]
struct Import {
    path: Vec<String>,
    alias: String,
    is_public: bool,
}

/// What the modules below `source` (a crate's `src`) name of one another, each name followed to the file that defines it. A
/// re-export names nothing by itself.
pub(crate) fn uses(source: &Path) -> Uses {
    let mut modules = BTreeMap::new();
    read(source, &mut Vec::new(), &mut modules);
    let modules = Modules(modules);
    let mut uses = Uses::new();
    for (path, module) in &modules.0 {
        let imported = module.imports.iter().filter(|import| !import.is_public).map(|import| &import.path);
        let found = imported.chain(&module.paths).filter_map(|named| modules.definer(path, named, LONGEST_WAY));
        uses.insert(path.clone(), found.filter(|found| found != path).collect());
    }
    uses
}

fn read(folder: &Path, path: &mut ModulePath, modules: &mut BTreeMap<ModulePath, Module>) {
    for entry in std::fs::read_dir(folder).expect("readable folder") {
        let entry = entry.expect("entry").path();
        let name = entry.file_stem().expect("a name").to_string_lossy().into_owned();
        let is_root = matches!(name.as_str(), "mod" | "lib" | "main");
        if matches!(name.as_str(), "tests" | "bin") {
            continue;
        }
        if !is_root {
            path.push(name);
        }
        if entry.is_dir() {
            read(&entry, path, modules);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&entry).expect("readable file");
            let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{}: {error}", entry.display()));
            modules.entry(path.clone()).or_default().take(tokens);
        }
        if !is_root {
            path.pop();
        }
    }
}

impl Module {
    fn take(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let (mut at, mut is_public) = (0, false);
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == '#' && is_for_tests(tokens.get(at + 1)) => {
                    at += 2 + item_length(tokens.get(at + 2..).unwrap_or_default());
                    continue;
                }
                TokenTree::Ident(ident) if ident == "pub" => is_public = true,
                TokenTree::Ident(ident) if ident == "use" => {
                    let rest = tokens.get(at + 1..).unwrap_or_default();
                    let length = rest.iter().position(is_semicolon).unwrap_or(rest.len());
                    self.import(rest.get(..length).unwrap_or_default(), &[], is_public);
                    at += 1 + length;
                    is_public = false;
                }
                TokenTree::Ident(_) => {
                    let (path, length) = path_at(tokens.get(at..).unwrap_or_default());
                    if let [one] = path.as_slice() {
                        self.note_item(one, tokens.get(at + 1));
                    } else {
                        self.paths.push(path);
                    }
                    at += length;
                    is_public = false;
                    continue;
                }
                // What follows `pub` may be where it is public.
                TokenTree::Group(group) if is_public && group.delimiter() == Delimiter::Parenthesis => {}
                TokenTree::Group(group) => self.take(group.stream()),
                _ => is_public = false,
            }
            at += 1;
        }
    }

    fn note_item(&mut self, keyword: &str, name: Option<&TokenTree>) {
        let defines = ["struct", "enum", "union", "fn", "trait", "type", "const", "static"].contains(&keyword);
        if let (true, Some(TokenTree::Ident(name))) = (defines, name) {
            self.items.insert(name.to_string());
        }
    }

    fn import(&mut self, tree: &[TokenTree], above: &[String], is_public: bool) {
        let (mut path, length) = path_at(tree);
        path.splice(0..0, above.iter().cloned());
        let rest = tree.get(length..).unwrap_or_default();
        // After the colons come names in braces, or all names.
        match rest.iter().find(|token| !matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':')) {
            Some(TokenTree::Group(group)) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
                inner
                    .split(is_comma)
                    .filter(|part| !part.is_empty())
                    .for_each(|part| self.import(part, &path, is_public));
            }
            Some(TokenTree::Punct(_)) => self.imports.push(Import { path, alias: "*".to_owned(), is_public }),
            renamed => {
                if path.last().is_some_and(|last| last == "self") {
                    path.pop();
                }
                let alias = match (renamed, rest.last()) {
                    (Some(TokenTree::Ident(_)), Some(alias)) => alias.to_string(),
                    _ => path.last().cloned().unwrap_or_default(),
                };
                self.imports.push(Import { path, alias, is_public });
            }
        }
    }
}

fn is_for_tests(attribute: Option<&TokenTree>) -> bool {
    matches!(attribute, Some(TokenTree::Group(group)) if group.stream().to_string().replace(' ', "") == "cfg(test)")
}

fn is_semicolon(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';')
}

/// To the end of its body, or its semicolon.
fn item_length(tokens: &[TokenTree]) -> usize {
    let is_end = |token: &TokenTree| {
        is_semicolon(token) || matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
    };
    tokens.iter().position(is_end).map_or(tokens.len(), |at| at + 1)
}

/// The names that begin here with two colons between them, and how many tokens they take.
fn path_at(tokens: &[TokenTree]) -> (Vec<String>, usize) {
    let (mut names, mut at) = (Vec::new(), 0);
    while let Some(TokenTree::Ident(name)) = tokens.get(at) {
        names.push(name.to_string());
        at += 1;
        let is_colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':');
        if !(is_colon(at) && is_colon(at + 1) && matches!(tokens.get(at + 2), Some(TokenTree::Ident(_)))) {
            break;
        }
        at += 2;
    }
    (names, at)
}

struct Modules(BTreeMap<ModulePath, Module>);

impl Modules {
    /// The module whose file defines what `named` says within the module `at`; `None` if that is of another crate.
    fn definer(&self, at: &ModulePath, named: &[String], left: usize) -> Option<ModulePath> {
        let (first, rest) = named.split_first()?;
        match first.as_str() {
            "crate" => self.below(Vec::new(), rest, left),
            "self" => self.below(at.clone(), rest, left),
            "super" => {
                let (_, above) = at.split_last()?;
                match rest.first().is_some_and(|next| next == "super") {
                    true => self.definer(&above.to_vec(), rest, left),
                    false => self.below(above.to_vec(), rest, left),
                }
            }
            name => {
                let child = child(at, name);
                if self.0.contains_key(&child) {
                    return self.below(child, rest, left);
                }
                let imports = &self.0.get(at)?.imports;
                let import = imports.iter().find(|import| import.alias == name && import.path != named)?;
                self.definer(at, &[&import.path, rest].concat(), left.checked_sub(1)?)
            }
        }
    }

    /// What `names` say, from a module down.
    fn below(&self, at: ModulePath, names: &[String], left: usize) -> Option<ModulePath> {
        let Some((first, rest)) = names.split_first() else { return Some(at) };
        let inner = child(&at, first);
        if self.0.contains_key(&inner) {
            return self.below(inner, rest, left);
        }
        let module = self.0.get(&at)?;
        let Some(left) = left.checked_sub(1) else { return Some(at) };
        if let Some(import) = module.imports.iter().find(|import| &import.alias == first)
            && let Some(found) = self.definer(&at, &[&import.path, rest].concat(), left)
        {
            return Some(found);
        }
        let all = module.imports.iter().filter(|import| import.is_public && import.alias == "*");
        let mut sources = all.filter_map(|import| self.definer(&at, &import.path, left));
        sources.find(|source| self.0.get(source).is_some_and(|module| module.items.contains(first))).or(Some(at))
    }
}

fn child(of: &[String], name: &str) -> ModulePath {
    [of, &[name.to_owned()]].concat()
}

/// Circles of modules that name one another, the largest first.
pub(crate) fn circles(uses: &Uses) -> Vec<BTreeSet<ModulePath>> {
    let reached: BTreeMap<&ModulePath, BTreeSet<&ModulePath>> =
        uses.keys().map(|from| (from, reach(uses, from))).collect();
    let mut found: Vec<BTreeSet<ModulePath>> = Vec::new();
    for (from, there) in &reached {
        let back = there.iter().filter(|to| reached.get(*to).is_some_and(|further| further.contains(from)));
        let circle: BTreeSet<ModulePath> = back.map(|to| (*to).clone()).collect();
        if circle.len() > 1 && !found.contains(&circle) {
            found.push(circle);
        }
    }
    found.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
    found
}

/// What a module names, and what that names, and so on.
fn reach<'a>(uses: &'a Uses, from: &ModulePath) -> BTreeSet<&'a ModulePath> {
    let (mut reached, mut pending) = (BTreeSet::new(), vec![from]);
    while let Some(module) = pending.pop() {
        for next in uses.get(module).into_iter().flatten() {
            if reached.insert(next) {
                pending.push(next);
            }
        }
    }
    reached
}
