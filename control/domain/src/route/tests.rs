//! The route language, by its examples and by properties.

use std::{fs, path::PathBuf};

use proptest::prelude::*;
use serde_json::Value;

use super::{any_stage::*, *};

/// The example files of a folder, by name.
pub(super) fn examples(folder: &str) -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap())
        })
        .collect();
    found.sort();
    found
}

pub(super) fn profile(name: &str) -> Profile {
    if name.contains(".cli.") { Profile::Cli } else { Profile::Platform }
}

#[test]
fn good_examples_are_read_and_survive_their_canonical_form() {
    let examples = examples("examples");
    assert!(examples.len() >= 5, "examples are missing");
    for (name, text) in examples {
        let route =
            Route::parse_yaml(&text, profile(&name)).unwrap_or_else(|errors| panic!("{name}:\n{errors}"));
        let json = route.to_json();
        for again in [Route::parse_json(&json, profile(&name)), Route::parse_yaml(&json, profile(&name))] {
            let again = again.unwrap_or_else(|errors| panic!("{name} again:\n{errors}\n{json}"));
            assert_eq!(again, route, "{name}");
            assert_eq!(again.to_json(), json, "{name}");
            assert_eq!(again.revision(), route.revision(), "{name}");
        }
    }
}

/// Set `EFT_BLESS=1` to write the golden files anew, and read the difference before committing it.
#[test]
fn bad_examples_are_refused_with_every_fault() {
    let examples = examples("examples/bad");
    assert!(examples.len() >= 7, "examples are missing");
    for (name, text) in examples {
        let errors = Route::parse_yaml(&text, profile(&name)).expect_err(&name);
        let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("examples/bad")
            .join(name.replace(".yaml", ".txt"));
        let found = format!("{errors}\n");
        if std::env::var_os("EFT_BLESS").is_some() {
            fs::write(&golden, &found).unwrap();
        }
        assert_eq!(fs::read_to_string(&golden).unwrap_or_default(), found, "{}", golden.display());
    }
}

#[test]
fn the_first_example_says_what_it_says() {
    let (_, text) = examples("examples").into_iter().find(|(name, _)| name == "orders-daily.yaml").unwrap();
    let route = Route::parse_yaml(&text, Profile::Platform).unwrap();
    assert_eq!(route.id.as_ref().map(RouteId::as_str), Some("orders-daily"));
    assert_eq!(route.limits.max_input_bytes, ByteSize(5 << 40));
    assert_eq!(route.stages.len(), 3);
    assert_eq!(route.stages[0], StageSpec::Decompress(DecompressSpec { codec: Codec::Gzip }));
    assert_eq!(route.stages[2], StageSpec::Compress(CompressSpec { codec: Codec::Zstd, level: 3 }));
    let StageSpec::Validate(ValidateSpec::Csv(csv)) = &route.stages[1] else { panic!("no csv") };
    assert_eq!(csv.columns, Columns::Header(vec!["order_id".into(), "sku".into(), "qty".into()]));
    assert_eq!(csv.types.get("qty"), Some(&ColumnType::Integer));
    assert_eq!((csv.delimiter, csv.quote, csv.utf8), (b',', Some(b'"'), true));
    assert_eq!(route.digests, [Digest::Sha256]);
    assert_eq!(route.archive, Some(Archive::default()));
    assert!(route.matches.as_ref().unwrap().takes("tenants/acme/in/orders/a.csv.gz"));
}

#[test]
fn identity_is_the_empty_route() {
    let route = Route::parse_yaml("{}", Profile::Cli).unwrap();
    assert_eq!(route, Route::identity());
    assert!(route.is_identity());
    assert_eq!(route.effective_id().to_string(), format!("unnamed-{}", route.revision()));
    let other = Route::parse_yaml("stages: [{ validate: utf8 }]", Profile::Cli).unwrap();
    assert_ne!(route.effective_id(), other.effective_id());
}

/// Pinned: a changed revision of an unchanged route would make every delivery id a new one.
#[test]
fn the_revision_of_identity_is_pinned() {
    assert_eq!(Route::identity().revision().to_string(), "3d22c45727b757f1");
}

#[test]
fn repeated_keys_are_refused_in_json_too() {
    let errors = Route::parse_json(r#"{"stages": [], "stages": []}"#, Profile::Cli).unwrap_err();
    assert_eq!(errors.to_string(), "/stages: stands here a second time; keep one of them");
}

#[test]
fn deep_and_long_texts_are_refused() {
    for text in
        ["[".repeat(100_000), format!("{}1{}", "{a: ".repeat(200), "}".repeat(200)), " ".repeat(300_000)]
    {
        assert!(Route::parse_yaml(&text, Profile::Cli).is_err());
        assert!(Route::parse_json(&text, Profile::Cli).is_err());
    }
}

/// The stage refuses it, and a route that was saved must run.
#[test]
fn nul_separates_nothing() {
    for field in ["delimiter", "quote", "escape"] {
        let text = format!(r#"{{"stages": [{{"validate": {{"csv": {{"{field}": "\u0000"}}}}}}]}}"#);
        let errors = Route::parse_json(&text, Profile::Cli).unwrap_err().to_string();
        assert_eq!(errors, format!("/stages/0/validate/csv/{field}: must not be NUL, which is never text"));
    }
}

#[test]
fn globs_match_segments() {
    let takes = |glob: &str, key: &str| Match { prefix: "in/".into(), glob: Some(glob.into()) }.takes(key);
    assert!(takes("*.csv", "in/a.csv") && takes("*", "in/") && takes("**.csv", "in/x/y/a.csv"));
    assert!(takes("?.csv", "in/ä.csv") && takes("a*b*c", "in/aXbYbZc"));
    assert!(!takes("*.csv", "in/x/a.csv") && !takes("?.csv", "in/.csv") && !takes("*.csv", "out/a.csv"));
    assert!(!takes("a*b", "in/acd") && !takes("", "in/a"));
    // Exponential in a matcher that backtracks.
    assert!(!takes(&"a*".repeat(300), &format!("in/{}b", "a".repeat(900).replace('a', "c"))));
}

/// Names of several objects, for a route that makes several, and for no other.
#[test]
fn a_key_has_a_number_where_there_are_several_objects() {
    let faults = |stages: &str, key: &str| {
        let text = format!(
            "{{id: a, tenant: acme, match: {{prefix: tenants/acme/in/}}, stages: [{stages}], \
             destinations: [{{s3: {{bucket: acme-out, key: \"{key}\"}}}}]}}"
        );
        Route::parse_yaml(&text, Profile::Platform).map(drop).map_err(|errors| errors.to_string())
    };
    let (split, entries) = ("{split: {after_records: 2}}", "{decompress: {codec: zip, entries: \"*.csv\"}}");
    for (stages, key) in [
        (split, "{stem}-{n}"),
        // Written before it was a placeholder.
        (split, "{stem}-{{n}}"),
        ("", "{stem}-{{n}}"),
        (entries, "{stem}/{entry}"),
        (entries, "{stem}-{n}"),
        (entries, "{name}"),
        ("", "x"),
    ] {
        assert_eq!(faults(stages, key), Ok(()), "{stages} {key}");
    }
    for (stages, key, says) in [
        (split, "{name}", "put {n}"),
        (split, "{name}/{entry}", "use {n}"),
        (entries, "{entry}-{n}", "keep one"),
        (split, "{n}/{n}", "keep one"),
        ("", "{n}", "makes one object"),
        ("", "{entry}", "takes no entries"),
    ] {
        let said = faults(stages, key).unwrap_err();
        assert!(said.contains("/destinations/0/s3/key") && said.contains(says), "{stages} {key}: {said}");
    }
}

#[test]
fn templates_render() {
    let values = TemplateValues {
        key: "in/acme/day 1/a.tar.gz",
        prefix: "in/acme/",
        arrived: "2026-11-23T09:18:28Z",
        tenant: Some("acme"),
        ..TemplateValues::default()
    };
    let render = |text: &str| text.parse::<KeyTemplate>().unwrap().render(&values).map(|key| key.to_string());
    assert_eq!(
        render("{date}/{stem}|{name}|{ext}|{rest}|{{x}}"),
        Ok("2026-11-23/a|a.tar.gz|gz|day 1/a.tar.gz|{x}".into())
    );
    assert_eq!(
        render("{year}{month}{day}{hour}-{tenant}-{key}"),
        Ok("2026112309-acme-in/acme/day 1/a.tar.gz".into())
    );
    // Of several objects, whose names come later.
    assert_eq!(render("{stem}/{n}|{entry}"), Ok("a/{n}|{entry}".into()));
    assert_eq!(render("{job_id}"), Err(RenderError::Missing(Placeholder::JobId)));
    assert!(matches!(render(&"{key}".repeat(60)), Err(RenderError::Key(_))));
    for (text, error) in [
        ("{", "a lone `{`"),
        ("a}", "a lone `}`"),
        ("{datum}", "unknown placeholder `{datum}`"),
        ("", "a key template must"),
    ] {
        let found = text.parse::<KeyTemplate>().unwrap_err().to_string();
        assert!(found.starts_with(error), "{text}: {found}");
    }
}

#[test]
fn completeness_round_trips() {
    for text in
        ["immediate", "transfer_event", "quiet(60s)", r#"control_file(".done")"#, r#"control_file("\"")"#]
    {
        assert_eq!(text.parse::<CompleteWhen>().unwrap().to_string(), text);
    }
    assert_eq!("quiet( 2h )".parse(), Ok(CompleteWhen::Quiet(7_200)));
    for text in [
        "",
        "quiet",
        "quiet()",
        "quiet(0s)",
        "quiet(25h)",
        "quiet(é)",
        "control_file(.done)",
        "control_file(\"\")",
    ] {
        assert!(text.parse::<CompleteWhen>().is_err(), "{text}");
    }
}

/// Any JSON, often with the names of the language in it.
fn any_json() -> impl Strategy<Value = Value> {
    let word = proptest::sample::select(
        [
            names::ROUTE,
            names::LIMITS,
            names::CSV,
            names::S3,
            names::COMPRESS,
            stage::jsonl::FIELDS,
            names::STAGES,
            stage::charset::CHARSET,
            stage::newline::NEWLINE,
            stage::ebcdic::EBCDIC,
            stage::ebcdic::FIELD,
            stage::fixed_width::FIXED_WIDTH,
            stage::fixed_width::COLUMN,
            names::VALIDATORS,
            &["gzip", "utf8", "windows-1252", "fail", "s3", "a-bucket"],
        ]
        .concat(),
    );
    let key = prop_oneof![4 => word.clone().prop_map(str::to_owned), 1 => ".{0,8}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|entries| entries.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

fn any_route() -> impl Strategy<Value = Route> {
    let codec = || proptest::sample::select(vec![Codec::Bzip2, Codec::Gzip, Codec::Xz, Codec::Zstd]);
    let charset = (
        proptest::sample::select(Charset::all().collect::<Vec<_>>()),
        proptest::sample::select(vec![Malformed::Reject, Malformed::Replace]),
    );
    let newline = (
        proptest::sample::select(vec![LineEnd::Lf, LineEnd::CrLf]),
        proptest::sample::select(vec![LoneCr::Keep, LoneCr::LineEnd]),
    );
    let stage = prop_oneof![
        any_ebcdic().prop_map(StageSpec::Ebcdic),
        any_fixed_width().prop_map(|spec| StageSpec::Validate(ValidateSpec::FixedWidth(spec))),
        Just(StageSpec::StripBom),
        any_concat().prop_map(StageSpec::Concat),
        newline.prop_map(|(to, lone_cr)| StageSpec::Newline(NewlineSpec { to, lone_cr })),
        charset.prop_map(|(from, malformed)| StageSpec::Charset(CharsetSpec { from, malformed })),
        codec().prop_map(|codec| StageSpec::Decompress(DecompressSpec { codec })),
        (codec(), 1i32..=6).prop_map(|(codec, level)| StageSpec::Compress(CompressSpec { codec, level })),
        proptest::option::of("[a-z]{1,9}")
            .prop_map(|entry| StageSpec::Unzip(super::UnzipSpec { entry, entries: None })),
        "[a-z*?/]{1,9}"
            .prop_map(|glob| StageSpec::Unzip(super::UnzipSpec { entry: None, entries: Some(glob) })),
        (proptest::option::of("[a-z]{1,9}"), 1i32..=9)
            .prop_map(|(entry, level)| StageSpec::Zip(super::ZipSpec { entry, level })),
        Just(StageSpec::Validate(ValidateSpec::Utf8)),
        proptest::sample::subsequence(MediaType::ALL, 1..=MediaType::ALL.len())
            .prop_map(|types| StageSpec::Validate(ValidateSpec::Magic(MagicSpec { types }))),
        (
            proptest::sample::select(vec!["{name}.x", "SUMS", "a/{name}-{name}"]),
            proptest::sample::select(SidecarDigest::ALL)
        )
            .prop_map(|(object, digest)| SidecarSpec { object: object.to_owned(), digest })
            .prop_map(|spec| StageSpec::Validate(ValidateSpec::Sidecar(spec))),
        (1u64.., any_records()).prop_map(|(first, records)| StageSpec::Head(HeadSpec { first, records })),
        (0u64..9, 1u64..9, any_records()).prop_map(|(first, last, records)| StageSpec::Drop(DropSpec {
            first,
            last,
            records
        })),
        any_pgp(),
        any_scan().prop_map(StageSpec::Scan),
        any_split().prop_map(StageSpec::Split),
        any_unique().prop_map(|spec| StageSpec::Validate(ValidateSpec::Unique(spec))),
        any_trailer().prop_map(|spec| StageSpec::Validate(ValidateSpec::Trailer(spec))),
        proptest::sample::select(vec![EdiStandard::X12, EdiStandard::Edifact])
            .prop_map(|standard| StageSpec::Validate(ValidateSpec::Edi(EdiSpec { standard }))),
        proptest::option::of("[A-Za-z_][A-Za-z0-9_.-]{0,4}")
            .prop_map(|root| StageSpec::Validate(ValidateSpec::Xml(XmlSpec { root }))),
        any_jsonl().prop_map(|jsonl| StageSpec::Validate(ValidateSpec::Jsonl(jsonl))),
        any_csv().prop_map(|csv| StageSpec::Validate(ValidateSpec::Csv(csv))),
    ];
    let storage = (
        proptest::option::of(proptest::sample::select(StorageClass::ALL)),
        prop_oneof![
            Just(None),
            Just(Some(Encryption::S3)),
            "[a-z/-]{1,9}".prop_map(|key| Some(Encryption::Kms(key)))
        ],
        proptest::collection::btree_map("[a-z]{1,4}", "[ -~]{0,4}", 0..3),
        proptest::collection::btree_map(".{1,4}", ".{0,4}", 0..3),
    )
        .prop_map(|(storage_class, encryption, metadata, tags)| StorageOptions {
            storage_class,
            encryption,
            metadata,
            tags,
            ..StorageOptions::default()
        });
    let destination =
        ("[a-z]{3,9}", "[a-z {}]{0,6}[é/?#%]", proptest::sample::select(OnExisting::ALL), storage).prop_map(
            |(bucket, key, on_existing, storage)| {
                Destination::S3(S3Destination {
                    bucket: bucket.parse().unwrap(),
                    key: format!("{}{{stem}}", key.replace('{', "{{").replace('}', "}}")).parse().unwrap(),
                    region: None,
                    on_existing,
                    storage,
                })
            },
        );
    let complete_when = prop_oneof![
        Just(CompleteWhen::Immediate),
        (1u32..86_400).prop_map(CompleteWhen::Quiet),
        ".{1,8}".prop_map(CompleteWhen::ControlFile),
        Just(CompleteWhen::TransferEvent),
    ];
    (
        proptest::option::of("[a-z0-9][a-z0-9._-]{0,20}"),
        proptest::collection::vec(stage, 0..4),
        proptest::collection::vec(destination, 0..3),
        complete_when,
        proptest::option::of((".{1,9}", proptest::option::of(".{1,9}"))),
        (1u64.., 1u64.., 1u32..1000, any::<u64>(), 1u32..=1000),
        proptest::sample::select(vec![
            Ordering::None,
            Ordering::Strict(HeadOfLine::Block),
            Ordering::Strict(HeadOfLine::HoldAndContinue),
        ]),
    )
        .prop_map(|(id, stages, destinations, complete_when, matches, limits, ordering)| Route {
            id: id.map(|id| id.parse().unwrap()),
            stages,
            destinations,
            complete_when,
            matches: matches.map(|(prefix, glob)| Match { prefix, glob }),
            limits: Limits {
                max_input_bytes: ByteSize(limits.0),
                max_output_bytes: ByteSize(limits.1),
                max_ratio: limits.2,
                max_errors: limits.3,
                max_entries: 1 + limits.2 % 100_000,
                max_depth: limits.4,
                ..Limits::default()
            },
            ordering,
            ..Route::identity()
        })
}

proptest! {
    #[test]
    fn no_json_makes_the_decoder_panic(value in any_json()) {
        let json = value.to_string();
        for profile in [Profile::Cli, Profile::Named, Profile::Platform] {
            for read in [Route::parse_json(&json, profile), Route::parse_yaml(&json, profile)] {
                if let Err(errors) = read {
                    prop_assert!(!errors.0.is_empty());
                }
            }
        }
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in "[ -~\n]{0,80}|.{0,40}") {
        for read in [Route::parse_yaml(&text, Profile::Cli), Route::parse_json(&text, Profile::Cli)] {
            if let Err(errors) = read {
                prop_assert!(!errors.0.is_empty());
            }
        }
    }

    /// A route that contradicts itself is refused with the same faults after the round trip; others come back equal.
    #[test]
    fn canonical_json_reads_back(route in any_route()) {
        let json = route.to_json();
        match (route.check(), Route::parse_json(&json, Profile::Cli)) {
            (Ok(()), Ok(again)) => {
                prop_assert_eq!(&again, &route);
                prop_assert_eq!(super::schema_test::fault_of(&route.to_value()), None);
                prop_assert_eq!(again.to_json(), json.clone());
                // YAML has no place for some characters that JSON takes as they are.
                let yaml = |c: char| !c.is_control() && !"\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}".contains(c);
                if json.chars().all(yaml) {
                    prop_assert_eq!(Route::parse_yaml(&json, Profile::Cli), Ok(route));
                }
            }
            (Err(before), Err(after)) => prop_assert_eq!(before, after),
            (before, after) => prop_assert!(false, "{before:?} but {after:?}"),
        }
    }
}
