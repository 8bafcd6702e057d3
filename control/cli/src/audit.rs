//! Who has changed what.

use crate::{
    args::Page,
    client::Client,
    fault::Fault,
    show::{Column, Shown},
};

const ENTRIES: &[Column] = &[
    ("at", "/at"),
    ("who", "/who"),
    ("what", "/what"),
    ("on", "/on"),
    ("outcome", "/outcome"),
    ("code", "/code"),
    ("reason", "/reason"),
];

/// The audit trail of the caller's tenant, of these times.
pub(crate) async fn list(
    client: &Client,
    shown: Shown,
    since: Option<&str>,
    until: Option<&str>,
    page: Page,
) -> Result<u8, Fault> {
    let times = [("since", since), ("until", until)];
    let query: Vec<_> = times.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    shown.list(&client.list("/v1/audit", &query, page.limit).await?, ENTRIES).map(|()| 0)
}
