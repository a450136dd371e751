//! What fail2ban's server can answer.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};

/// A Python value, as far as fail2ban's answers go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// `None`
    None,
    /// `True` or `False`
    Bool(bool),
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A tuple.
    Tuple(Vec<Value>),
    /// A dictionary with texts as keys, in this order.
    Map(Vec<(String, Value)>),
}

/// What fail2ban's server raises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exception {
    /// `fail2ban.exceptions.UnknownJailException`; its text is the jail's name.
    UnknownJail,
    /// `Exception`; its text is for people.
    Other,
}

impl Value {
    /// A text.
    pub fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    /// A list of texts.
    pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Value {
        Value::List(texts.into_iter().map(Value::text).collect())
    }

    /// A count.
    pub fn count(count: u64) -> Value {
        Value::Number(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// A named value, as the answers to `status` hold them.
    pub fn named(name: &str, value: Value) -> Value {
        Value::Tuple(vec![Value::text(name), value])
    }
}

/// As Python's `repr` writes it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::None => f.write_str("None"),
            Value::Bool(true) => f.write_str("True"),
            Value::Bool(false) => f.write_str("False"),
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) => quoted(f, text),
            Value::List(items) => {
                f.write_char('[')?;
                separated(f, items)?;
                f.write_char(']')
            }
            Value::Tuple(items) => {
                f.write_char('(')?;
                separated(f, items)?;
                f.write_str(if items.len() == 1 { ",)" } else { ")" })
            }
            Value::Map(entries) => {
                f.write_char('{')?;
                for (at, (key, value)) in entries.iter().enumerate() {
                    f.write_str(if at > 0 { ", " } else { "" })?;
                    quoted(f, key)?;
                    write!(f, ": {value}")?;
                }
                f.write_char('}')
            }
        }
    }
}

fn separated(f: &mut fmt::Formatter<'_>, items: &[Value]) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if at > 0 { ", " } else { "" })?;
    }
    Ok(())
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    f.write_char(quote)?;
    for c in text.chars() {
        match c {
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c == quote => write!(f, "\\{c}")?,
            c if c.is_control() && u32::from(c) < 0x100 => write!(f, "\\x{:02x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char(quote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_python_does() {
        let check = |value: Value, python: &str| assert_eq!(value.to_string(), python);
        check(Value::None, "None");
        check(Value::Bool(true), "True");
        check(Value::Number(-1), "-1");
        check(Value::text("it's"), "\"it's\"");
        check(Value::text("a'b\"c\\\n\u{1b}"), "'a\\'b\"c\\\\\\n\\x1b'");
        check(Value::List(vec![]), "[]");
        check(Value::Tuple(vec![Value::Number(1)]), "(1,)");
        check(Value::named("a", Value::texts(["b", "c"])), "('a', ['b', 'c'])");
        check(
            Value::List(vec![Value::Map(vec![("sshd".into(), Value::texts(["192.0.2.1"]))])]),
            "[{'sshd': ['192.0.2.1']}]",
        );
    }
}
