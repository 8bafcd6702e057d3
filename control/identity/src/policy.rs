//! What of the role's rights a session has. The role may write below every tenant's prefix; a session has what both it and
//! this policy allow, so that not even a fault of the folders brings anybody into another's files. Names may be listed of
//! what begins with the folder's name without its `/`: clients ask for a folder so.

use eft_domain::BucketName;
use serde_json::json;

/// Most characters of a session policy (IAM and STS quotas, AssumeRole).
pub const MOST_CHARS: usize = 2_048;

/// What is done with files. To rename is to read, write and delete; to delete is to put a marker over a version, which
/// stays. The role in `deploy/core/identity.ts` has the same.
pub const ON_OBJECTS: [&str; 3] = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"];

/// The policy of a session below a prefix, after AWS's own (Transfer Family user guide, "Creating a session policy for an
/// Amazon S3 bucket"), but that no version is deleted and no right given away; none where it would be longer than AWS takes
/// it, as with a folder of more than 400 characters.
pub fn session(partition: &str, bucket: &BucketName, prefix: &str) -> Option<String> {
    let place = format!("arn:{partition}:s3:::{bucket}");
    let folder = literal(prefix.trim_end_matches('/'));
    let below = format!("{folder}/*");
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow", "Action": "s3:ListBucket", "Resource": place,
                "Condition": { "StringLike": { "s3:prefix": [below, folder] } },
            },
            { "Effect": "Allow", "Action": ON_OBJECTS, "Resource": format!("{place}/{below}") },
            // Which key that is, the role says.
            { "Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": "*" },
        ],
    })
    .to_string();
    (policy.chars().count() <= MOST_CHARS).then_some(policy)
}

/// A text that stands for itself: a folder may have a name that is a pattern to IAM (user guide, "IAM policy elements:
/// Variables and tags").
fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '*' | '?' | '$' => literal.extend(['$', '{', c, '}']),
            _ => literal.push(c),
        }
    }
    literal
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn bucket() -> BucketName {
        "acme-in".parse().unwrap()
    }

    #[test]
    fn a_session_reaches_its_own_folder() {
        let policy: Value =
            serde_json::from_str(&session("aws-cn", &bucket(), "tenants/acme/in/").unwrap()).unwrap();
        let statements = policy["Statement"].as_array().unwrap();
        assert_eq!(
            statements[0]["Condition"]["StringLike"]["s3:prefix"],
            json!(["tenants/acme/in/*", "tenants/acme/in"])
        );
        assert_eq!(statements[1]["Resource"], "arn:aws-cn:s3:::acme-in/tenants/acme/in/*");
        assert!(statements.iter().all(|statement| statement["Effect"] == "Allow"));
    }

    #[test]
    fn a_name_that_is_a_pattern_stands_for_itself() {
        assert_eq!(literal("a*/b?/${c}/"), "a${*}/b${?}/${$}{c}/");
    }

    proptest! {
        /// Nothing of a name is a pattern any more, and it is the same name.
        #[test]
        fn a_name_matches_itself_alone(name in r"[a/*?${}]{0,40}") {
            let text = literal(&name);
            let plain = text.replace("${*}", "").replace("${?}", "").replace("${$}", "");
            prop_assert!(!plain.contains(['*', '?', '$']), "{}", text);
            let back = text.replace("${*}", "*").replace("${?}", "?").replace("${$}", "\u{0}").replace('\u{0}', "$");
            prop_assert_eq!(back, name);
        }
    }

    #[test]
    fn a_folder_with_a_long_name_still_fits() {
        let bucket: BucketName = "b".repeat(63).parse().unwrap();
        let prefix = format!("tenants/{}/{}/", "t".repeat(64), "f".repeat(400));
        assert!(session("aws-us-gov", &bucket, &prefix).is_some());
        assert_eq!(session("aws", &bucket, &"*".repeat(512)), None);
    }
}
