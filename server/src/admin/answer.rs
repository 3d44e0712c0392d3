//! Owns what a command of the admin server answers, and how it is written. Must not know any command.
//! Source: `CommandResponse`, `JsonOutputter`, `StreamOutputter`.

use std::io;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize as _;
use serde_json::ser::Formatter;
use serde_json::{Map, Serializer, Value};

/// What a command answers.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) fields: Map<String, Value>,
    pub(super) headers: Vec<(&'static str, String)>,
    /// Given instead of the fields.
    pub(super) body: Option<Body>,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: StatusCode::OK,
            fields: Map::new(),
            headers: Vec::new(),
            body: None,
        }
    }
}

impl Answer {
    /// Without anything but the command's name.
    pub(super) fn bare(status: StatusCode) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// With these fields, in this order.
    pub(super) fn of<const N: usize>(fields: [(&str, Value); N]) -> Self {
        let fields = fields.map(|(key, value)| (key.to_owned(), value));
        Self {
            fields: fields.into_iter().collect(),
            ..Self::default()
        }
    }

    /// With something to say instead of an answer. It comes before the command's name then.
    pub(super) fn wrong(text: impl Into<String>) -> Self {
        Self::of([("error", Value::String(text.into()))])
    }

    /// The answer to `command` as it is sent.
    pub(super) fn send(mut self, command: &str, error: Option<String>) -> Response {
        let mut response = match self.body.take() {
            Some(body) => {
                let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
                (self.status, kind, body).into_response()
            }
            None => {
                let fields = &mut self.fields;
                fields.insert("command".to_owned(), command.into());
                if !fields.contains_key("error") {
                    fields.insert("error".to_owned(), error.into());
                }
                let kind = [(header::CONTENT_TYPE, "application/json")];
                (self.status, kind, json(fields)).into_response()
            }
        };
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                let name = HeaderName::from_static(name);
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

fn json(fields: &Map<String, Value>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut out, Spaced::default());
    match fields.serialize(&mut serializer) {
        Ok(()) => out,
        // Text and numbers in memory can always be written.
        Err(error) => error.to_string().into_bytes(),
    }
}

/// Lines and spaces as Jackson puts them: scripts that look for `"error" : null` are about.
#[derive(Debug, Default)]
struct Spaced {
    depth: usize,
    filled: bool,
}

impl Spaced {
    fn new_line<W: ?Sized + io::Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(b"  "))
    }
}

impl Formatter for Spaced {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"[ ")?;
        self.filled = false;
        Ok(())
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(if self.filled { b" ]" } else { b"]" })
    }

    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        writer.write_all(b"{")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        match self.filled {
            true => self.new_line(writer)?,
            false => writer.write_all(b" ")?,
        }
        writer.write_all(b"}")
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b"," })?;
        self.new_line(writer)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b" : ")
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_looks_as_jackson_writes_it() {
        let answer = json!({
            "empty": [], "none": {}, "numbers": [1, 2.0],
            "list": [{"a": "x", "b": null}, {"a": []}],
            "map": {"k": [1], "deep": {"t": true}},
        });
        let Value::Object(fields) = answer else {
            unreachable!()
        };
        let text = String::from_utf8(json(&fields)).unwrap();
        let expected = r#"{
  "empty" : [ ],
  "none" : { },
  "numbers" : [ 1, 2.0 ],
  "list" : [ {
    "a" : "x",
    "b" : null
  }, {
    "a" : [ ]
  } ],
  "map" : {
    "k" : [ 1 ],
    "deep" : {
      "t" : true
    }
  }
}"#;
        assert_eq!(text, expected);
    }
}
