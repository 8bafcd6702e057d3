//! What an earlier run has left in S3: uploads under a name, and the parts of one of them.

use aws_sdk_s3::types::{ChecksumAlgorithm, MultipartUpload, Part as Listed};
use eft_pipeline::{
    checksum::Crc64,
    port::{ErrorKind, PartAck, PortError, PortResult},
};

use super::{
    crc_from_text,
    error::port_error,
    sink::{S3Sink, S3Upload},
    timeouts::within,
};

impl S3Sink {
    /// Uploads of exactly this key.
    pub(super) async fn listed_uploads(&self) -> PortResult<Vec<MultipartUpload>> {
        let what = format!("ListMultipartUploads {}", self.target.uri);
        let (mut key, mut id, mut found) = (None, None, Vec::new());
        loop {
            let request = self.client.sdk.list_multipart_uploads().bucket(&self.bucket).prefix(&self.key);
            let request = request.set_key_marker(key.take()).set_upload_id_marker(id.take());
            let page = within(self.client.timeouts.answer, &what, request.send()).await?;
            let page = page.map_err(|error| port_error(&what, &error))?;
            let ours = page.uploads().iter().filter(|upload| upload.key() == Some(&self.key));
            found.extend(ours.cloned());
            (key, id) = (
                page.next_key_marker().map(ToOwned::to_owned),
                page.next_upload_id_marker().map(ToOwned::to_owned),
            );
            // Keys come in order: behind ours there is nothing of interest.
            let more = page.is_truncated() == Some(true) && key.as_ref() == Some(&self.key) && id.is_some();
            if !more {
                return Ok(found);
            }
        }
    }
}

impl S3Upload {
    /// The first `count` parts, as S3 lists them.
    pub(super) async fn list_parts(&self, count: u32) -> PortResult<Vec<Listed>> {
        let sink = &self.sink;
        let what = format!("ListParts of {}", sink.target.uri);
        let (mut marker, mut found) = (None, Vec::new());
        loop {
            let request =
                sink.client.sdk.list_parts().bucket(&sink.bucket).key(&sink.key).upload_id(&self.id);
            let request = request.set_part_number_marker(marker.take());
            let page = within(sink.client.timeouts.answer, &what, request.send()).await?;
            let page = page.map_err(|error| port_error(&what, &error))?;
            if page.checksum_algorithm() == Some(&ChecksumAlgorithm::Crc64Nvme) {
                sink.keeps_crc64();
            }
            found.extend(page.parts().iter().cloned());
            marker = page.next_part_number_marker().map(ToOwned::to_owned);
            let more = page.is_truncated() == Some(true) && marker.is_some() && found.len() < count as usize;
            if !more {
                found.truncate(count as usize);
                return Ok(found);
            }
        }
    }

    /// The parts that must be there, if they are. Where the store lists their checksums these have to be those of
    /// `whole`; where it does not, their sizes.
    pub(super) async fn proven_parts(&self, count: u32, whole: Crc64) -> PortResult<Option<Vec<PartAck>>> {
        let listed = self.list_parts(count).await?;
        let acks: Option<Vec<_>> = listed.iter().zip(1..).map(|(part, number)| ack(part, number)).collect();
        let Some(acks) = acks.filter(|acks| acks.len() == count as usize) else { return Ok(None) };
        let sizes: u64 = acks.iter().map(|ack| ack.crc.len()).sum();
        if listed.iter().any(|part| part.checksum_crc64_nvme().is_none()) {
            self.sink.forget_crc64();
            return Ok((sizes == whole.len()).then_some(acks));
        }
        let all = acks.iter().map(|ack| ack.crc).fold(Crc64::default(), Crc64::then);
        Ok((all == whole).then_some(acks))
    }

    /// The upload is still there.
    pub(super) async fn exists(&self) -> PortResult<()> {
        match self.list_parts(1).await {
            // Who may write but not list finds out when completing it.
            Err(PortError { kind: ErrorKind::Denied, .. }) => Ok(()),
            listed => listed.map(|_| ()),
        }
    }
}

/// A listed part as an acknowledgement; `None` when it is not this number.
fn ack(part: &Listed, number: u32) -> Option<PartAck> {
    (part.part_number()? == i32::try_from(number).ok()?).then_some(())?;
    let size = u64::try_from(part.size()?).ok()?;
    let crc = part.checksum_crc64_nvme().and_then(crc_from_text).unwrap_or_default();
    Some(PartAck { number, tag: part.e_tag()?.to_owned(), crc: Crc64::from_parts(crc, size) })
}
