//! The little XML that S3 speaks: a writer that escapes, and a reader for the five request documents.

use std::fmt::{Display, Write};

use crate::error::{Code, S3Error};

/// The namespace of S3's response documents.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Writes one document.
#[derive(Debug)]
pub(crate) struct Xml(String);

impl Xml {
    /// An empty document after the XML declaration.
    pub(crate) fn document() -> Self {
        Self("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned())
    }

    /// A document with `root` opened in S3's namespace; end it with `end`.
    pub(crate) fn rooted(root: &str) -> Self {
        let mut xml = Self::document();
        xml.put(format_args!("<{root} xmlns=\"{NAMESPACE}\">"));
        xml
    }

    pub(crate) fn open(&mut self, name: &str) -> &mut Self {
        self.put(format_args!("<{name}>"))
    }

    pub(crate) fn close(&mut self, name: &str) -> &mut Self {
        self.put(format_args!("</{name}>"))
    }

    pub(crate) fn leaf(&mut self, name: &str, value: impl Display) -> &mut Self {
        let text = escape(&value.to_string());
        self.put(format_args!("<{name}>{text}</{name}>"))
    }

    pub(crate) fn optional(&mut self, name: &str, value: Option<impl Display>) -> &mut Self {
        if let Some(value) = value {
            self.leaf(name, value);
        }
        self
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }

    /// Closes the root and returns the text.
    pub(crate) fn end(mut self, root: &str) -> String {
        self.close(root);
        self.finish()
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) -> &mut Self {
        // Writing to a `String` cannot fail.
        self.0.write_fmt(text).ok();
        self
    }
}

/// Escapes text. Control characters become references, as S3 does; XML 1.0 readers may still refuse them,
/// which is why listings offer `encoding-type=url`.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => {
                write!(out, "&#x{:x};", c as u32).ok();
            }
            c => out.push(c),
        }
    }
    out
}

/// An element of a request document; namespaces are dropped.
#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// Parses a document into its root.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, S3Error> {
        let text = std::str::from_utf8(body).map_err(|_| S3Error::from(Code::MalformedXML))?;
        let document = roxmltree::Document::parse(text).map_err(|_| S3Error::from(Code::MalformedXML))?;
        Ok(Self::from_node(document.root_element()))
    }

    fn from_node(node: roxmltree::Node<'_, '_>) -> Self {
        Self {
            name: node.tag_name().name().to_owned(),
            text: node.text().unwrap_or_default().to_owned(),
            children: node.children().filter(|child| child.is_element()).map(Self::from_node).collect(),
        }
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    pub(crate) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let key = "a <b> & \"c\" d+e%20 \u{e9}\n";
        let mut xml = Xml::rooted("Root");
        xml.open("Part").leaf("Key", key).leaf("Number", 7).close("Part");
        let root = Element::parse(xml.end("Root").as_bytes()).unwrap();
        assert_eq!(root.child("Part").unwrap().text_of("Key"), Some(key));
        assert_eq!(root.all("Part").count(), 1);
    }

    #[test]
    fn a_broken_document_is_malformed() {
        assert_eq!(Element::parse(b"<a>").unwrap_err().code, Code::MalformedXML);
        assert_eq!(Element::parse(b"\xff").unwrap_err().code, Code::MalformedXML);
    }
}
