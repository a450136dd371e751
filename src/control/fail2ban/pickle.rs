//! Python's pickles, as far as fail2ban's clients use them.
//!
//! A pickle is a program, and Python's own reader runs anything that it names.
//! This one knows only the instructions that make lists, tuples, texts and
//! numbers; any other ends the reading. What was memorised can be fetched again
//! only if it is a text or a number, and what fetching costs is counted, so that
//! a short pickle can't become a long value. Nesting, items and bytes are bounded.
//!
//! Instructions and their arguments: CPython's `pickletools`. Protocols 0 to 5.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{Exception, Value};

/// Most values in a pickle, those inside others too.
const MAX_VALUES: usize = 200_000;
/// Most bytes of texts in what a pickle makes.
const MAX_TEXT: usize = 4 << 20;
/// Deepest nesting of lists.
const MAX_DEPTH: usize = 8;
/// Most values that are memorised.
const MAX_MEMO: usize = 400_000;

/// Why a pickle is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// It stops in the middle.
    #[error("the pickle ends too early")]
    Cut,
    /// It is no pickle, or not one of a list of words.
    #[error(
        "the pickle holds instruction {0:#04x} at byte {1}: only lists, texts and numbers are read"
    )]
    Instruction(u8, usize),
    /// Its instructions make no sense together.
    #[error("the pickle makes no sense at byte {0}")]
    Nonsense(usize),
    /// It is too big.
    #[error("the pickle is too big")]
    TooBig,
}

/// Reads a pickle.
pub(super) fn read(bytes: &[u8]) -> Result<Value, Unreadable> {
    let mut reader =
        Reader { bytes, at: 0, stack: Vec::new(), memo: Vec::new(), values: 0, text: 0 };
    loop {
        if let Some(value) = reader.step()? {
            return Ok(value);
        }
    }
}

/// What lies on the stack.
#[derive(Debug)]
enum Item {
    Mark,
    /// A value, and how deep it is nested.
    Value(Value, usize),
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Item>,
    /// `None`: a list, which can't be fetched again.
    memo: Vec<Option<Value>>,
    values: usize,
    text: usize,
}

impl<'a> Reader<'a> {
    /// One instruction; the value, if it was the last.
    fn step(&mut self) -> Result<Option<Value>, Unreadable> {
        let place = self.at;
        let code = self.byte()?;
        match code {
            b'.' => return self.pop(place).map(|(value, _)| Some(value)),
            // Protocol and frame say nothing that the rest does not.
            0x80 => drop(self.byte()?),
            0x95 => drop(self.take(8)?),
            b'(' => self.stack.push(Item::Mark),
            b'0' => drop(self.stack.pop().ok_or(Unreadable::Nonsense(place))?),
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'K' => {
                let number = self.byte()?;
                self.push(Value::Number(number.into()))?;
            }
            b'M' => {
                let number = u16::from_le_bytes(self.array()?);
                self.push(Value::Number(number.into()))?;
            }
            b'J' => {
                let number = i32::from_le_bytes(self.array()?);
                self.push(Value::Number(number.into()))?;
            }
            0x8a => self.long(place)?,
            b'G' => {
                let number = f64::from_be_bytes(self.array()?);
                self.push(Value::Text(number.to_string()))?;
            }
            b'I' | b'L' => self.written_number(place)?,
            b'F' => {
                let line = self.line()?;
                self.push_text(String::from_utf8_lossy(line).into_owned())?;
            }
            0x8c | b'U' | b'C' => {
                let length = usize::from(self.byte()?);
                self.text_of(length)?;
            }
            b'X' | b'T' | b'B' => {
                let length = u32::from_le_bytes(self.array()?) as usize;
                self.text_of(length)?;
            }
            0x8d | 0x8e => {
                let length = u64::from_le_bytes(self.array()?);
                self.text_of(usize::try_from(length).map_err(|_| Unreadable::TooBig)?)?;
            }
            b'S' | b'V' => self.quoted(code == b'S', place)?,
            b']' => self.push(Value::List(Vec::new()))?,
            b')' => self.push(Value::Tuple(Vec::new()))?,
            0x85 => self.tuple(1, place)?,
            0x86 => self.tuple(2, place)?,
            0x87 => self.tuple(3, place)?,
            b't' => {
                let (items, depth) = self.above_mark(place)?;
                self.nested(Value::Tuple(items), depth)?;
            }
            b'l' => {
                let (items, depth) = self.above_mark(place)?;
                self.nested(Value::List(items), depth)?;
            }
            b'a' => {
                let (item, depth) = self.pop(place)?;
                self.append(vec![item], depth, place)?;
            }
            b'e' => {
                let (items, depth) = self.above_mark(place)?;
                self.append(items, depth, place)?;
            }
            0x94 => self.memorise(self.memo.len(), place)?,
            b'q' => {
                let slot = self.byte()?.into();
                self.memorise(slot, place)?;
            }
            b'r' => {
                let slot = u32::from_le_bytes(self.array()?) as usize;
                self.memorise(slot, place)?;
            }
            b'p' => {
                let slot = self.decimal(place)?;
                self.memorise(slot, place)?;
            }
            b'h' => {
                let slot = self.byte()?.into();
                self.fetch(slot, place)?;
            }
            b'j' => {
                let slot = u32::from_le_bytes(self.array()?) as usize;
                self.fetch(slot, place)?;
            }
            b'g' => {
                let slot = self.decimal(place)?;
                self.fetch(slot, place)?;
            }
            other => return Err(Unreadable::Instruction(other, place)),
        }
        Ok(None)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        let end = self.at.checked_add(length).ok_or(Unreadable::TooBig)?;
        let taken = self.bytes.get(self.at..end).ok_or(Unreadable::Cut)?;
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Unreadable> {
        self.take(1).map(|taken| taken[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| Unreadable::Cut)
    }

    /// The rest of a line, as protocol 0 has its arguments.
    fn line(&mut self) -> Result<&'a [u8], Unreadable> {
        let rest = &self.bytes[self.at..];
        let end = memchr::memchr(b'\n', rest).ok_or(Unreadable::Cut)?;
        self.at += end + 1;
        Ok(&rest[..end])
    }

    fn decimal(&mut self, place: usize) -> Result<usize, Unreadable> {
        let line = std::str::from_utf8(self.line()?).ok();
        line.and_then(|line| line.parse().ok()).ok_or(Unreadable::Nonsense(place))
    }

    fn push(&mut self, value: Value) -> Result<(), Unreadable> {
        self.nested(value, 0)
    }

    fn nested(&mut self, value: Value, depth: usize) -> Result<(), Unreadable> {
        self.values += 1;
        if self.values > MAX_VALUES || depth > MAX_DEPTH {
            return Err(Unreadable::TooBig);
        }
        self.stack.push(Item::Value(value, depth));
        Ok(())
    }

    fn pop(&mut self, place: usize) -> Result<(Value, usize), Unreadable> {
        match self.stack.pop() {
            Some(Item::Value(value, depth)) => Ok((value, depth)),
            _ => Err(Unreadable::Nonsense(place)),
        }
    }

    /// The values above the last mark, and how deep a list of them is.
    fn above_mark(&mut self, place: usize) -> Result<(Vec<Value>, usize), Unreadable> {
        let mark = self.stack.iter().rposition(|item| matches!(item, Item::Mark));
        let mark = mark.ok_or(Unreadable::Nonsense(place))?;
        let mut deepest = 0;
        let items = self.stack.drain(mark..).skip(1).filter_map(|item| match item {
            Item::Mark => None,
            Item::Value(value, depth) => {
                deepest = deepest.max(depth + 1);
                Some(value)
            }
        });
        let items = items.collect();
        Ok((items, deepest))
    }

    fn tuple(&mut self, length: usize, place: usize) -> Result<(), Unreadable> {
        let mut items = Vec::with_capacity(length);
        let mut deepest = 0;
        for _ in 0..length {
            let (item, depth) = self.pop(place)?;
            deepest = deepest.max(depth + 1);
            items.push(item);
        }
        items.reverse();
        self.nested(Value::Tuple(items), deepest)
    }

    /// `depth` is that of the deepest item.
    fn append(&mut self, items: Vec<Value>, depth: usize, place: usize) -> Result<(), Unreadable> {
        let Some(Item::Value(Value::List(list), nested)) = self.stack.last_mut() else {
            return Err(Unreadable::Nonsense(place));
        };
        *nested = (*nested).max(depth + 1);
        if *nested > MAX_DEPTH + 1 {
            return Err(Unreadable::TooBig);
        }
        list.extend(items);
        Ok(())
    }

    fn memorise(&mut self, slot: usize, place: usize) -> Result<(), Unreadable> {
        let Some(Item::Value(value, _)) = self.stack.last() else {
            return Err(Unreadable::Nonsense(place));
        };
        if slot >= MAX_MEMO || slot > self.memo.len() + 1024 {
            return Err(Unreadable::TooBig);
        }
        if self.memo.len() <= slot {
            self.memo.resize(slot + 1, None);
        }
        let fetchable = !matches!(value, Value::List(_) | Value::Tuple(_) | Value::Map(_));
        if let (true, Value::Text(text)) = (fetchable, value) {
            self.text += text.len();
        }
        if self.text > MAX_TEXT {
            return Err(Unreadable::TooBig);
        }
        self.memo[slot] = fetchable.then(|| value.clone());
        Ok(())
    }

    fn fetch(&mut self, slot: usize, place: usize) -> Result<(), Unreadable> {
        let value = self.memo.get(slot).cloned().flatten().ok_or(Unreadable::Nonsense(place))?;
        if let Value::Text(text) = &value {
            self.text += text.len();
            if self.text > MAX_TEXT {
                return Err(Unreadable::TooBig);
            }
        }
        self.push(value)
    }

    /// What is no UTF-8 is no name of a jail and no address; it is kept readable.
    fn text_of(&mut self, length: usize) -> Result<(), Unreadable> {
        let bytes = self.take(length)?;
        self.push_text(String::from_utf8_lossy(bytes).into_owned())
    }

    fn push_text(&mut self, text: String) -> Result<(), Unreadable> {
        self.text += text.len();
        if self.text > MAX_TEXT {
            return Err(Unreadable::TooBig);
        }
        self.push(Value::Text(text))
    }

    /// A number of up to 8 bytes, little end first.
    fn long(&mut self, place: usize) -> Result<(), Unreadable> {
        let length = usize::from(self.byte()?);
        let bytes = self.take(length)?;
        if length > 8 {
            return Err(Unreadable::Nonsense(place));
        }
        let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
        let mut whole = [if negative { 0xff } else { 0 }; 8];
        whole[..length].copy_from_slice(bytes);
        self.push(Value::Number(i64::from_le_bytes(whole)))
    }

    /// `I01`, `I00` are truth values; `L12L` is a long number.
    fn written_number(&mut self, place: usize) -> Result<(), Unreadable> {
        let line = std::str::from_utf8(self.line()?).map_err(|_| Unreadable::Nonsense(place))?;
        let value = match line {
            "01" => Value::Bool(true),
            "00" => Value::Bool(false),
            _ => {
                let digits = line.trim_end_matches('L');
                Value::Number(digits.parse().map_err(|_| Unreadable::Nonsense(place))?)
            }
        };
        self.push(value)
    }

    /// A text of protocol 0: Python's `repr`, or (`V`) as it is with `\uXXXX`.
    fn quoted(&mut self, repr: bool, place: usize) -> Result<(), Unreadable> {
        let line = std::str::from_utf8(self.line()?).map_err(|_| Unreadable::Nonsense(place))?;
        let inner = match line.chars().next() {
            Some(quote @ ('\'' | '"')) if repr => line[1..].strip_suffix(quote),
            _ if repr => None,
            _ => Some(line),
        };
        let inner = inner.ok_or(Unreadable::Nonsense(place))?;
        let text = unescaped(inner).ok_or(Unreadable::Nonsense(place))?;
        self.push_text(text)
    }
}

fn unescaped(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        plain.push(match rest.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'x' => code_point(&mut rest, 2)?,
            'u' => code_point(&mut rest, 4)?,
            other => other,
        });
    }
    Some(plain)
}

fn code_point(rest: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let digits: String = rest.by_ref().take(digits).collect();
    u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)
}

/// An answer as fail2ban's server sends it: `(0, value)`.
pub(super) fn answer(value: &Value) -> Vec<u8> {
    let mut bytes = vec![0x80, 2, b'K', 0];
    write(&mut bytes, value);
    bytes.extend([0x86, b'.']);
    bytes
}

/// A refusal: `(1, exception)`.
pub(super) fn raised(exception: Exception, text: &str) -> Vec<u8> {
    let class = match exception {
        Exception::UnknownJail => "fail2ban.exceptions\nUnknownJailException\n",
        Exception::Other => "builtins\nException\n",
    };
    let mut bytes = vec![0x80, 2, b'K', 1, b'c'];
    bytes.extend(class.as_bytes());
    write(&mut bytes, &Value::Tuple(vec![Value::text(text)]));
    bytes.extend([b'R', 0x86, b'.']);
    bytes
}

/// Writes a value in protocol 2, which every reader of pickles knows.
fn write(to: &mut Vec<u8>, value: &Value) {
    match value {
        Value::None => to.push(b'N'),
        Value::Bool(truth) => to.push(if *truth { 0x88 } else { 0x89 }),
        Value::Number(number) => match (u8::try_from(*number), i32::try_from(*number)) {
            (Ok(small), _) => to.extend([b'K', small]),
            (_, Ok(middle)) => {
                to.push(b'J');
                to.extend(middle.to_le_bytes());
            }
            _ => {
                to.extend([0x8a, 8]);
                to.extend(number.to_le_bytes());
            }
        },
        Value::Text(text) => write_text(to, text),
        Value::List(items) => {
            to.extend(b"](");
            for item in items {
                write(to, item);
            }
            to.push(b'e');
        }
        Value::Tuple(items) => {
            to.push(b'(');
            for item in items {
                write(to, item);
            }
            to.push(b't');
        }
        Value::Map(entries) => {
            to.extend(b"}(");
            for (key, value) in entries {
                write_text(to, key);
                write(to, value);
            }
            to.push(b'u');
        }
    }
}

fn write_text(to: &mut Vec<u8>, text: &str) {
    // No answer comes near 4 GB: whatever does is cut rather than told wrong.
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    to.push(b'X');
    to.extend(length.to_le_bytes());
    to.extend(&text.as_bytes()[..length as usize]);
}

#[cfg(test)]
#[path = "pickle_tests.rs"]
mod tests;
