//! The buckets that files arrive in.

use std::collections::BTreeMap;

use eft_domain::BucketName;

/// The buckets that files arrive in, by their names in both regions and in this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    here: BTreeMap<String, BucketName>,
    logical: BTreeMap<BucketName, String>,
}

impl Buckets {
    /// Buckets as `logical=name,logical=name`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut buckets = Self::default();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (logical, name) =
                pair.split_once('=').ok_or_else(|| format!("`{pair}` is no `logical=bucket`"))?;
            let (logical, name) = (logical.trim(), name.trim());
            // It is part of every job's id and of keys in the ledger.
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if !(1..=63).contains(&logical.len()) || !logical.chars().all(plain) {
                return Err(format!("`{logical}` is no logical name: 1 to 63 of a-z, 0-9 and `-`"));
            }
            let name: BucketName = name.parse().map_err(|error| format!("{error}"))?;
            let twice = buckets.here.insert(logical.to_owned(), name.clone()).is_some();
            if buckets.logical.insert(name, logical.to_owned()).is_some() || twice {
                return Err(format!("`{pair}` names a bucket that was named before"));
            }
        }
        if buckets.here.is_empty() { Err("names no bucket".to_owned()) } else { Ok(buckets) }
    }

    /// The name in both regions of a bucket of this one.
    pub fn logical(&self, bucket: &BucketName) -> Option<&str> {
        self.logical.get(bucket).map(String::as_str)
    }

    /// The name in this region.
    pub fn here(&self, logical: &str) -> Option<&BucketName> {
        self.here.get(logical)
    }

    /// Every bucket: its name in both regions and in this one.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &BucketName)> {
        self.here.iter().map(|(logical, here)| (logical.as_str(), here))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_have_one_name_each_way() {
        let buckets = Buckets::parse("ingest=acme-in-eu, second=acme-in-2,").unwrap();
        assert_eq!(buckets.logical(&"acme-in-eu".parse().unwrap()), Some("ingest"));
        assert_eq!(buckets.here("second").unwrap().as_str(), "acme-in-2");
        assert_eq!(buckets.logical(&"other-bucket".parse().unwrap()), None);
        for wrong in ["", "ingest", "=bucket", "a=b", "a=bucket,a=other", "a=bucket,b=bucket", "A#=bucket"] {
            assert!(Buckets::parse(wrong).is_err(), "{wrong}");
        }
    }
}
