//! The text of a definition, in one format: words in lower case, names without quotes that they do not need, no
//! comments, one way to put spaces.

use std::iter::Peekable;
use std::str::Chars;

/// A definition in one format.
pub(super) fn text_of(sql: &str) -> String {
    write(&tokens(sql))
}

/// A `CREATE TABLE`, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TableText {
    /// What is left without columns and constraints.
    pub(super) whole: String,
    /// Name and definition, in order.
    pub(super) columns: Vec<(String, String)>,
    /// Name, or what it says where it has none, and definition.
    pub(super) constraints: Vec<(String, String)>,
}

impl TableText {
    pub(super) fn read(sql: &str) -> Self {
        let tokens = tokens(sql);
        let body = tokens.iter().position(|token| token.is("("));
        let virtual_table = tokens.get(1).is_some_and(|token| token.is("virtual"));
        let Some(start) = body.filter(|_| !virtual_table) else {
            return Self { whole: write(&tokens), columns: Vec::new(), constraints: Vec::new() };
        };
        let (items, end) = items(&tokens, start + 1);
        let (mut columns, mut constraints) = (Vec::new(), Vec::new());
        for item in items {
            match item {
                [first, name, rest @ ..] if first.is("constraint") => {
                    constraints.push((name.text.clone(), write(rest)));
                }
                [first, ..] if first.begins_constraint() => constraints.push((write(item), write(item))),
                [name, rest @ ..] => columns.push((name.text.clone(), write(&without_null(rest)))),
                [] => {}
            }
        }
        // The name is known, and a renamed table keeps the quotes that it got.
        let options = tokens.get(end + 1..).unwrap_or_default();
        Self { whole: format!("table {}", write(options)).trim_end().to_owned(), columns, constraints }
    }
}

/// `NULL` as a column's own constraint says nothing; after these words it does.
fn without_null(column: &[Token]) -> Vec<Token> {
    let (mut depth, mut kept) = (0, Vec::<Token>::new());
    for token in column {
        depth += i32::from(token.is("(")) - i32::from(token.is(")"));
        let meant = kept.last().is_some_and(|last| ["not", "default", "set"].iter().any(|word| last.is(word)));
        if depth > 0 || meant || !token.is("null") {
            kept.push(token.clone());
        }
    }
    kept
}

/// What stands between the commas of a list that starts at `start`, and where it ends.
fn items(tokens: &[Token], start: usize) -> (Vec<&[Token]>, usize) {
    let (mut depth, mut from, mut found) = (0, start, Vec::new());
    for (at, token) in tokens.iter().enumerate().skip(start) {
        if token.is("(") {
            depth += 1;
        } else if token.is(")") && depth > 0 {
            depth -= 1;
        } else if depth == 0 && (token.is(",") || token.is(")")) {
            found.push(&tokens[from..at]);
            from = at + 1;
            if token.is(")") {
                return (found, at);
            }
        }
    }
    (found, tokens.len())
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    text: String,
    /// A name or a string, which is no keyword whatever it says.
    quoted: bool,
}

impl Token {
    fn is(&self, text: &str) -> bool {
        !self.quoted && self.text == text
    }

    fn begins_constraint(&self) -> bool {
        ["check", "foreign", "primary", "unique"].iter().any(|word| self.is(word))
    }
}

fn tokens(sql: &str) -> Vec<Token> {
    let (mut letters, mut found) = (sql.chars().peekable(), Vec::new());
    while let Some(letter) = letters.next() {
        match letter {
            _ if letter.is_whitespace() => {}
            '-' if letters.next_if_eq(&'-').is_some() => {
                letters.by_ref().take_while(|letter| *letter != '\n').for_each(drop)
            }
            '/' if letters.next_if_eq(&'*').is_some() => skip_comment(&mut letters),
            '\'' => found.push(Token { text: format!("'{}'", quoted(&mut letters, '\'')), quoted: true }),
            '"' | '`' => found.push(name(quoted(&mut letters, letter))),
            '[' => found.push(name(letters.by_ref().take_while(|letter| *letter != ']').collect())),
            _ if is_word(letter) => {
                let mut text = letter.to_lowercase().to_string();
                while let Some(next) = letters.next_if(|next| is_word(*next)) {
                    text.extend(next.to_lowercase());
                }
                found.push(Token { text, quoted: false });
            }
            _ => found.push(Token { text: letter.to_string(), quoted: false }),
        }
    }
    found
}

/// Up to the closing quote; a doubled one stays doubled.
fn quoted(letters: &mut Peekable<Chars<'_>>, quote: char) -> String {
    let mut text = String::new();
    while let Some(letter) = letters.next() {
        if letter == quote {
            match letters.next_if_eq(&quote) {
                Some(doubled) => text.push(doubled),
                None => break,
            }
        }
        text.push(letter);
    }
    text
}

fn skip_comment(letters: &mut Peekable<Chars<'_>>) {
    while let Some(letter) = letters.next() {
        if letter == '*' && letters.next_if_eq(&'/').is_some() {
            return;
        }
    }
}

/// Names compare without regard to case.
fn name(text: String) -> Token {
    let plain = !text.is_empty() && text.chars().all(is_word);
    let text = if plain { text.to_lowercase() } else { format!("\"{text}\"") };
    Token { text, quoted: true }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '$'
}

fn write(tokens: &[Token]) -> String {
    let mut text = String::new();
    for (at, token) in tokens.iter().enumerate() {
        let after_open = at > 0 && tokens[at - 1].is("(");
        let closes = ["(", ")", ",", "."].iter().any(|sign| token.is(sign));
        let after_dot = at > 0 && tokens[at - 1].is(".");
        if at > 0 && !after_open && !after_dot && !closes {
            text.push(' ');
        }
        text.push_str(&token.text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn a_table_is_taken_apart() {
        let sql = "CREATE TABLE \"people\" ( \"id\" uuid_text NOT NULL PRIMARY KEY, /* a, b */ \"check\" Varchar ( 20 ) \
                   DEFAULT 'a, (B)', price numeric(10,2), CONSTRAINT \"ck_kind\" CHECK (\"kind\" IN ('x', 'y')), -- no\n \
                   FOREIGN KEY (\"id\") REFERENCES \"other\" (\"id\") ) WITHOUT ROWID, STRICT";
        let read = TableText::read(sql);
        assert_eq!(read.whole, "table without rowid, strict");
        let columns = [
            ("id", "uuid_text not null primary key"),
            ("check", "varchar(20) default 'a, (B)'"),
            ("price", "numeric(10, 2)"),
        ];
        assert_eq!(read.columns, pairs(&columns));
        let foreign = "foreign key(id) references other(id)";
        assert_eq!(read.constraints, pairs(&[("ck_kind", "check(kind in('x', 'y'))"), (foreign, foreign)]));
    }

    #[test]
    fn the_same_said_in_another_way_is_the_same() {
        let (one, other) = ("CREATE INDEX \"ix\" ON `t` ([a], \"b c\")", "create  index ix\non t(A,\"b c\") -- why");
        assert_eq!(text_of(one), text_of(other));
        assert_eq!(text_of(one), "create index ix on t(a, \"b c\")");
        assert_ne!(text_of("CHECK (a = 'X')"), text_of("CHECK (a = 'x')"));
    }

    #[test]
    fn null_is_left_out_where_it_says_nothing() {
        let sql = "CREATE TABLE t (a int NULL, b int NOT NULL, c int DEFAULT NULL NULL, \
                   d int REFERENCES o ON DELETE SET NULL CHECK (d IS NULL))";
        let (b, c) = (("b", "int not null"), ("c", "int default null"));
        let d = ("d", "int references o on delete set null check(d is null)");
        assert_eq!(TableText::read(sql).columns, pairs(&[("a", "int"), b, c, d]));
    }

    #[test]
    fn what_is_cut_off_or_virtual_is_kept_whole() {
        assert_eq!(TableText::read("CREATE TABLE t (a int").columns, []);
        let fts = TableText::read("CREATE VIRTUAL TABLE f USING fts5(a, b)");
        assert_eq!((fts.whole.as_str(), fts.columns.len()), ("create virtual table f using fts5(a, b)", 0));
    }
}
