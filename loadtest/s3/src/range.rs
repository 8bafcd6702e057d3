//! `Range` as S3 reads it: one range or none at all.

use std::ops::Range;

use crate::error::{Code, S3Error};

/// The bytes that a `Range` header asks of a body of `size` bytes. `None`: the whole body, because the header is not
/// one well-formed byte range (which HTTP says to ignore).
pub(crate) fn parse(header: &str, size: u64) -> Result<Option<Range<u64>>, S3Error> {
    let Some((first, last)) = header.trim().strip_prefix("bytes=").and_then(|spec| spec.split_once('-'))
    else {
        return Ok(None);
    };
    let number = |text: &str| text.trim().parse::<u64>();
    let range = match (number(first), number(last)) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Ok(first), Err(_)) if last.trim().is_empty() => first..size,
        (Err(_), Ok(suffix)) if first.trim().is_empty() && suffix > 0 => size.saturating_sub(suffix)..size,
        (Err(_), Ok(0)) if first.trim().is_empty() => size..size,
        _ => return Ok(None),
    };
    if range.is_empty() {
        return Err(S3Error::from(Code::InvalidRange)
            .detail("RangeRequested", header)
            .detail("ActualObjectSize", size)
            .header("content-range", format_args!("bytes */{size}")));
    }
    Ok(Some(range))
}

/// `x-amz-copy-source-range`: must be `bytes=first-last` inside the source.
pub(crate) fn parse_copy(header: &str, size: u64) -> Result<Range<u64>, S3Error> {
    let parsed = header
        .strip_prefix("bytes=")
        .and_then(|spec| spec.split_once('-'))
        .and_then(|(first, last)| Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?)));
    match parsed {
        Some((first, last)) if first <= last && last < size => Ok(first..last + 1),
        Some(_) => {
            Err(S3Error::invalid(format!("Range specified is not valid for source object of size: {size}")))
        }
        None => Err(S3Error::invalid(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let whole = |header| parse(header, 10).map_err(|error| error.code);
        assert_eq!(whole("bytes=0-0"), Ok(Some(0..1)));
        assert_eq!(whole("bytes=2-"), Ok(Some(2..10)));
        assert_eq!(whole("bytes=-3"), Ok(Some(7..10)));
        assert_eq!(whole("bytes=-30"), Ok(Some(0..10)));
        assert_eq!(whole("bytes=5-99"), Ok(Some(5..10)));
        for ignored in ["bytes=5-4", "bytes=a-b", "bytes=0-1,3-4", "lines=1-2", "bytes=-"] {
            assert_eq!(whole(ignored), Ok(None), "{ignored}");
        }
        for unsatisfiable in ["bytes=10-", "bytes=10-11", "bytes=-0"] {
            assert_eq!(whole(unsatisfiable), Err(Code::InvalidRange), "{unsatisfiable}");
        }
        assert_eq!(parse("bytes=0-", 0).map_err(|error| error.code), Err(Code::InvalidRange));
    }

    #[test]
    fn copy_ranges_are_strict() {
        assert_eq!(parse_copy("bytes=2-9", 10).unwrap(), 2..10);
        for bad in ["bytes=2-10", "bytes=2-", "bytes=-2", "2-3"] {
            assert!(parse_copy(bad, 10).is_err(), "{bad}");
        }
    }
}
