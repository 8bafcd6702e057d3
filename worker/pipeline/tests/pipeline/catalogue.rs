//! Every stage has its page, and every page keeps its form, its example and its codes.

use std::{collections::BTreeSet, fs, path::PathBuf};

use eft_domain::{Code, route::stage_names};
use eft_pipeline::stage::catalogue::{Entry, PAGES, entries, markdown_table};

const PAGE: &str = "# validate.utf8\n\nChecks it.\n\n## Route\n\n```yaml\nstages: [validate: utf8]\n```\n\n\
                    ## What it does\n\nx\n\n## Limits\n\n- `limit.max_fields`: y\n\n## Resume\n\nR1\n\n## Failures\n\nz\n";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("stages")
}

#[test]
fn every_stage_has_a_page_and_every_page_a_stage() {
    let pages: Vec<_> = PAGES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(pages, stage_names(), "the pages, in the order of the alphabet");
    let files: BTreeSet<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let listed = pages.iter().map(|name| format!("{name}.md")).chain(["README.md".to_owned()]).collect();
    assert_eq!(files, listed, "the files of stages/");
}

#[test]
fn every_page_is_an_entry() {
    for (name, page) in PAGES {
        let entry = Entry::read(name, page).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(entry.info.name, *name);
        let class = entry.info.resume.as_str();
        let resume = page.split_once("## Resume\n\n").unwrap().1;
        assert!(
            resume.starts_with(class),
            "{name}: the section Resume does not begin with its class, {class}"
        );
        assert!(entry.memory().bytes() >= entry.info.memory);
    }
    let csv = entries().unwrap().into_iter().find(|entry| entry.name == "validate.csv").unwrap();
    assert_eq!(csv.limits, [Code::LimitRecordBytes, Code::LimitFields]);
}

/// Set `EFT_BLESS=1` to write the table anew.
#[test]
fn the_table_of_the_documentation_is_the_catalogue() {
    let wanted = format!(
        "# Stages\n\nMade from the pages beside it by `EFT_BLESS=1 cargo test -p eft-pipeline --test catalogue`; \
         `eft-worker stages`\nprints the same. Memory is what the example of the page holds besides the bytes in \
         flight.\n\n{}",
        markdown_table(&entries().unwrap())
    );
    let path = folder().join("README.md");
    if std::env::var_os("EFT_BLESS").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap();
    assert!(found == wanted, "stages/README.md is not the catalogue; it should be\n{wanted}");
}

#[test]
fn a_page_that_is_not_in_form_is_no_entry() {
    let read = |page: String| Entry::read("validate.utf8", page.leak());
    assert_eq!(read(PAGE.to_owned()).unwrap().limits, [Code::LimitFields]);
    for (from, to, why) in [
        ("# validate.utf8\n", "# validate.csv\n", "must begin with"),
        ("# validate.utf8\n\n", "# validate.utf8\n", "must begin with"),
        ("Checks it.", "Checks it", "one sentence"),
        ("Checks it.", "Checks it\ntwice.", "one sentence"),
        ("## Limits", "## Limit", "`Limits` is not in its place"),
        ("## Resume\n\nR1\n\n", "", "`Resume` is not in its place"),
        ("## Resume\n\nR1\n\n", "## Resume\n\n", "`Resume` is not in its place"),
        ("## Failures\n\nz\n", "## Failures\n\nz\n\n## More\n\nm\n", "a section too many: `More`"),
        ("```yaml", "```json", "one block of YAML"),
        ("validate: utf8", "validate: utf9", "unknown check `utf9`"),
        ("validate: utf8", "validate: csv", "does not use the stage"),
        ("limit.max_fields", "limit.max_feilds", "`limit.max_feilds` is not a failure code"),
        ("\nz\n", "\n- `format.corupt`: `z`\n", "`format.corupt` is not a failure code"),
    ] {
        let broken = PAGE.replace(from, to);
        assert_ne!(broken, PAGE, "{from:?} is not on the page");
        let error = read(broken).unwrap_err().to_string();
        assert!(error.contains(why), "{from:?} -> {to:?}: {error}");
    }
}
