//! What is a tenant's besides its routes: users of the SFTP server, partners, and the audit trail.

use eft_domain::{
    AuditId, Millis, Partner,
    sftp::{PasswordHash, SftpUser},
};
use eft_store::{AuditEntry, AuditOutcome, Page, Put};

use super::{Bed, tenant};

fn user(name: &str, of: &str) -> SftpUser {
    SftpUser {
        name: name.parse().unwrap(),
        tenant: tenant(of),
        keys: vec![],
        password: None,
        partner: Some("shop".parse().unwrap()),
        home: "in/".parse().unwrap(),
        sources: vec!["192.0.2.0/24".parse().unwrap()],
        paused: false,
    }
}

pub(crate) async fn users_of_a_tenant_are_saved_on_condition_and_listed(bed: &Bed) {
    let catalog = &bed.desk().catalog;
    let one = user("erp-1", "acme");
    let two = SftpUser { paused: true, password: Some(PasswordHash::decoy()), ..one.clone() };
    assert_eq!(catalog.sftp_user(&one.name).await, Ok(None));
    assert_eq!(catalog.save_sftp_user(&two, Some(&one)).await, Ok(Put::Stale), "there is none");
    assert_eq!(catalog.save_sftp_user(&one, None).await, Ok(Put::Done));
    assert_eq!(catalog.save_sftp_user(&user("erp-1", "globex"), None).await, Ok(Put::Stale), "it is acme's");
    assert_eq!(catalog.save_sftp_user(&two, Some(&one)).await, Ok(Put::Done));
    assert_eq!(catalog.save_sftp_user(&one, Some(&one)).await, Ok(Put::Stale), "it was changed");
    assert_eq!(catalog.sftp_user(&one.name).await, Ok(Some(two.clone())));
    let (three, theirs) = (user("erp-2", "acme"), user("erp-0", "globex"));
    for user in [&three, &theirs] {
        assert_eq!(catalog.save_sftp_user(user, None).await, Ok(Put::Done));
    }
    let first = catalog.sftp_users(&tenant("acme"), None, 1).await.unwrap();
    assert_eq!((first.items.as_slice(), first.next.as_deref()), (std::slice::from_ref(&two), Some("erp-1")));
    let second = catalog.sftp_users(&tenant("acme"), Some(&two.name), 10).await;
    assert_eq!(second, Ok(Page { items: vec![three], next: None }));
    let other = catalog.sftp_users(&tenant("globex"), None, 10).await;
    assert_eq!(other, Ok(Page { items: vec![theirs], next: None }));
}

pub(crate) async fn a_user_is_removed_as_it_was_read(bed: &Bed) {
    let catalog = &bed.desk().catalog;
    let one = user("erp-1", "acme");
    let two = SftpUser { paused: true, ..one.clone() };
    assert_eq!(catalog.remove_sftp_user(&one).await, Ok(Put::Stale), "there is none");
    assert_eq!(catalog.save_sftp_user(&one, None).await, Ok(Put::Done));
    assert_eq!(catalog.save_sftp_user(&two, Some(&one)).await, Ok(Put::Done));
    assert_eq!(catalog.remove_sftp_user(&one).await, Ok(Put::Stale), "it was changed");
    assert_eq!(catalog.sftp_user(&one.name).await, Ok(Some(two.clone())));
    assert_eq!(catalog.remove_sftp_user(&two).await, Ok(Put::Done));
    assert_eq!(catalog.remove_sftp_user(&two).await, Ok(Put::Stale));
    assert_eq!(catalog.sftp_user(&one.name).await, Ok(None));
    let listed = async |of| catalog.sftp_users(&tenant(of), None, 10).await.unwrap().items;
    assert_eq!(listed("acme").await, []);
    // Its name is anybody's.
    let theirs = user("erp-1", "globex");
    assert_eq!(catalog.save_sftp_user(&theirs, None).await, Ok(Put::Done));
    assert_eq!((listed("acme").await, listed("globex").await), (vec![], vec![theirs]));
}

pub(crate) async fn partners_of_a_tenant_are_saved_on_condition_and_listed(bed: &Bed) {
    let catalog = &bed.desk().catalog;
    let partner = |id: &str, of: &str| Partner {
        id: id.parse().unwrap(),
        tenant: tenant(of),
        display_name: "The Shop".to_owned(),
        contacts: vec![],
        folder: "shop/".parse().unwrap(),
        paused: false,
    };
    let one = partner("shop", "acme");
    let two = Partner { paused: true, ..one.clone() };
    let acme = tenant("acme");
    assert_eq!(catalog.partner(&acme, &one.id).await, Ok(None));
    assert_eq!(catalog.save_partner(&two, Some(&one)).await, Ok(Put::Stale), "there is none");
    assert_eq!(catalog.save_partner(&one, None).await, Ok(Put::Done));
    assert_eq!(catalog.save_partner(&two, None).await, Ok(Put::Stale), "there is one");
    assert_eq!(catalog.save_partner(&two, Some(&one)).await, Ok(Put::Done));
    assert_eq!(catalog.save_partner(&one, Some(&one)).await, Ok(Put::Stale), "it was changed");
    assert_eq!(catalog.partner(&acme, &one.id).await, Ok(Some(two.clone())));
    // Another tenant has one of the same name.
    let theirs = partner("shop", "globex");
    assert_eq!(catalog.save_partner(&theirs, None).await, Ok(Put::Done));
    let other = partner("toys", "acme");
    assert_eq!(catalog.save_partner(&other, None).await, Ok(Put::Done));
    let first = catalog.partners(&acme, None, 1).await.unwrap();
    assert_eq!((first.items.as_slice(), first.next.as_deref()), (std::slice::from_ref(&two), Some("shop")));
    let second = catalog.partners(&acme, Some(&two.id), 10).await;
    assert_eq!(second, Ok(Page { items: vec![other.clone()], next: None }));
    assert_eq!(catalog.remove_partner(&one).await, Ok(Put::Stale), "it was changed");
    assert_eq!(catalog.remove_partner(&two).await, Ok(Put::Done));
    assert_eq!(catalog.remove_partner(&two).await, Ok(Put::Stale), "there is none");
    assert_eq!(catalog.partners(&acme, None, 10).await, Ok(Page { items: vec![other], next: None }));
    assert_eq!(catalog.partner(&theirs.tenant, &theirs.id).await, Ok(Some(theirs)));
}

pub(crate) async fn entries_of_a_tenant_are_kept_and_listed_by_their_times(bed: &Bed) {
    let (trail, acme) = (&bed.trail, tenant("acme"));
    let entry = |of: &str, at: u64| AuditEntry {
        id: AuditId::new(Millis(1_795_737_600_000 + at), &[7; 10]),
        tenant: tenant(of),
        at: Millis(1_795_737_600_000 + at),
        who: "ann".to_owned(),
        what: "putRoute".to_owned(),
        on: "/v1/routes/orders".to_owned(),
        reason: None,
        request: Some("r-1".to_owned()),
        outcome: None,
    };
    let begun: Vec<_> = (0..4).map(|at| entry("acme", at)).collect();
    let theirs = entry("globex", 1);
    for entry in begun.iter().chain([&theirs]) {
        trail.begin_entry(entry).await.unwrap();
    }
    let outcome = AuditOutcome { status: 412, code: Some("precondition.failed".to_owned()), etag: None };
    let ended = AuditEntry { outcome: Some(outcome), ..begun[2].clone() };
    trail.end_entry(&ended).await.unwrap();
    trail.begin_entry(&begun[2]).await.unwrap();
    let all = [begun[3].clone(), ended, begun[1].clone(), begun[0].clone()];
    let list = async |from, before, limit| trail.entries(&acme, from, before, limit).await.unwrap();
    let page = list(AuditId::FIRST, AuditId::LAST, 10).await;
    assert_eq!(page, Page { items: all.to_vec(), next: None }, "and none of them is begun anew");
    let (mut seen, mut before) = (Vec::new(), AuditId::LAST);
    loop {
        let page = list(AuditId::FIRST, before, 3).await;
        seen.extend(page.items);
        let Some(next) = page.next else { break };
        before = next.parse().unwrap();
    }
    assert_eq!(seen, all);
    let at = |at: u64| AuditId::first_at(Millis(1_795_737_600_000 + at));
    assert_eq!(list(at(1), at(3), 10).await.items, all[1..3]);
    assert_eq!(list(at(3), at(3), 10).await, Page { items: vec![], next: None });
    assert_eq!(list(at(3), at(1), 10).await, Page { items: vec![], next: None });
    assert_eq!(list(AuditId::FIRST, AuditId::FIRST, 10).await.items, []);
    assert_eq!(
        trail.entries(&theirs.tenant, AuditId::FIRST, AuditId::LAST, 10).await.unwrap().items,
        [theirs]
    );
}
