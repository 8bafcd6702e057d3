//! ETags and the conditions that requests put on them (RFC 9110, 13).

use http::{HeaderMap, HeaderName, header};

use crate::problem::{Code, Problem};

/// Tags of one header; nobody has read more than a few.
const MOST_TAGS: usize = 16;

/// What a client says of the ETag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`: whichever there is.
    Any,
    /// One of these; each with whether it is weak.
    These(Vec<(bool, String)>),
}

impl Tags {
    /// The tags of a header, if it is there.
    fn of(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, Problem> {
        let wrong = || {
            Problem::new(
                Code::HeaderInvalid,
                format!("`{name}` is neither `*` nor a list of ETags in quotes"),
            )
        };
        let mut tags = Vec::new();
        let mut values = headers.get_all(name).iter().peekable();
        if values.peek().is_none() {
            return Ok(None);
        }
        for value in values {
            let mut rest = value.to_str().map_err(|_| wrong())?.trim();
            if rest == "*" && tags.is_empty() && headers.get_all(name).iter().count() == 1 {
                return Ok(Some(Self::Any));
            }
            loop {
                let weak = rest.starts_with("W/");
                let quoted = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"').ok_or_else(wrong)?;
                let (tag, after) = quoted.split_once('"').ok_or_else(wrong)?;
                tags.push((weak, format!("\"{tag}\"")));
                let after = after.trim_start();
                if after.is_empty() {
                    break;
                }
                rest = after.strip_prefix(',').ok_or_else(wrong)?.trim_start();
                if tags.len() == MOST_TAGS {
                    return Err(wrong());
                }
            }
        }
        Ok(Some(Self::These(tags)))
    }

    /// Strong comparison: a weak tag equals none.
    pub fn has(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|(weak, tag)| !weak && tag == etag),
        }
    }
}

/// On what a write depends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// `If-None-Match: *`: there is nothing of this name yet.
    Create,
    /// `If-Match`: it is as it was read.
    Change(Tags),
}

impl Write {
    /// What the headers say.
    ///
    /// # Errors
    /// There is no condition, or it is not one that a write can have.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let matches = Tags::of(headers, &header::IF_MATCH)?;
        match (matches, Tags::of(headers, &header::IF_NONE_MATCH)?) {
            (Some(tags), None) => Ok(Self::Change(tags)),
            (None, Some(Tags::Any)) => Ok(Self::Create),
            (None, None) => Err(Problem::new(
                Code::PreconditionRequired,
                "a write needs `If-None-Match: *` to create, or `If-Match` to change",
            )),
            _ => Err(Problem::new(
                Code::HeaderInvalid,
                "a write takes either `If-None-Match: *` or `If-Match`, and not both",
            )),
        }
    }
}

/// On what a removal depends.
///
/// # Errors
/// There is no condition, or it is none that a removal can have.
pub fn removal(headers: &HeaderMap) -> Result<Tags, Problem> {
    match Write::of(headers) {
        Ok(Write::Change(tags)) => Ok(tags),
        Ok(Write::Create) => Err(Problem::new(Code::HeaderInvalid, "a removal takes `If-Match`")),
        Err(problem) if problem.code == Code::PreconditionRequired => {
            Err(Problem::new(problem.code, "a removal needs `If-Match` with the ETag that was read"))
        }
        Err(problem) => Err(problem),
    }
}

/// What an act depends on, if on anything.
///
/// # Errors
/// The header is none.
pub fn if_match(headers: &HeaderMap) -> Result<Option<Tags>, Problem> {
    Tags::of(headers, &header::IF_MATCH)
}

/// Whether the client has it already: `If-None-Match` of a read, by weak comparison.
///
/// # Errors
/// The header is none.
pub fn is_known(headers: &HeaderMap, etag: &str) -> Result<bool, Problem> {
    Ok(match Tags::of(headers, &header::IF_NONE_MATCH)? {
        None => false,
        Some(Tags::Any) => true,
        Some(Tags::These(tags)) => tags.iter().any(|(_, tag)| tag == etag),
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn tags_are_compared_as_the_standard_says() {
        let tags =
            |text| Tags::of(&headers(&[(header::IF_MATCH, text)]), &header::IF_MATCH).unwrap().unwrap();
        assert!(tags("*").has("\"a\"") && tags("\"x\", \"a\"").has("\"a\""));
        assert!(tags("\"a,b\"").has("\"a,b\""), "a comma may stand in a tag");
        assert!(!tags("W/\"a\"").has("\"a\""), "a weak tag is no promise");
        assert!(!tags("\"\"").has("\"a\""));
        let read = headers(&[(header::IF_NONE_MATCH, "W/\"a\"")]);
        assert_eq!(is_known(&read, "\"a\""), Ok(true));
        let several = headers(&[(header::IF_NONE_MATCH, "\"b\""), (header::IF_NONE_MATCH, "\"a\"")]);
        assert_eq!(is_known(&several, "\"a\""), Ok(true));
        assert_eq!(is_known(&HeaderMap::new(), "\"a\""), Ok(false));
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        let many = vec!["\"a\""; MOST_TAGS + 1].join(",");
        for text in ["a", "\"a", "\"a\" \"b\"", "\"a\",", "*, \"a\"", "w/\"a\"", "", &many, "\"\u{e9}\""] {
            let problem = Tags::of(&headers(&[(header::IF_MATCH, text)]), &header::IF_MATCH).unwrap_err();
            assert_eq!(problem.code, Code::HeaderInvalid, "{text}");
        }
    }

    #[test]
    fn a_write_says_on_what_it_depends() {
        let of = |pairs: &[(HeaderName, &str)]| Write::of(&headers(pairs));
        assert_eq!(of(&[(header::IF_NONE_MATCH, "*")]), Ok(Write::Create));
        assert_eq!(of(&[(header::IF_MATCH, "*")]), Ok(Write::Change(Tags::Any)));
        assert_eq!(of(&[]).unwrap_err().code, Code::PreconditionRequired);
        let both = [(header::IF_NONE_MATCH, "*"), (header::IF_MATCH, "\"a\"")];
        assert_eq!(of(&both).unwrap_err().code, Code::HeaderInvalid);
        assert_eq!(of(&[(header::IF_NONE_MATCH, "\"a\"")]).unwrap_err().code, Code::HeaderInvalid);
        let removal = |pairs: &[(HeaderName, &str)]| removal(&headers(pairs)).map_err(|problem| problem.code);
        assert_eq!(removal(&[(header::IF_MATCH, "*")]), Ok(Tags::Any));
        assert_eq!(removal(&[]), Err(Code::PreconditionRequired));
        assert_eq!(removal(&[(header::IF_NONE_MATCH, "*")]), Err(Code::HeaderInvalid));
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(text in "[ -~]{0,60}") {
            drop(Write::of(&headers(&[(header::IF_MATCH, &text)])));
            drop(is_known(&headers(&[(header::IF_NONE_MATCH, &text)]), "\"a\""));
        }
    }
}
