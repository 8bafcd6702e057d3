//! stand-in
use super::{Kind, ResumeClass, StageInfo};
use bytes::Bytes;
use eft_domain::{Failure, route::CompressSpec};
/// x
#[derive(Clone, Debug)]
pub struct BlockCompressor(CompressSpec);
/// x
#[derive(Default, Debug)]
pub struct Scratch;
#[allow(missing_docs)]
impl BlockCompressor {
    pub fn new(s: CompressSpec) -> Self {
        Self(s)
    }
    pub fn info(&self) -> StageInfo {
        StageInfo {
            name: "compress",
            kind: Kind::Rewrite,
            ordered: true,
            resume: ResumeClass::R2,
            memory: 4 << 20,
        }
    }
    pub fn block_bytes(&self) -> usize {
        1 << 20
    }
    pub fn bound(&self, n: usize) -> usize {
        n + 1024
    }
    pub fn compress(&self, _s: &mut Scratch, segs: &[Bytes]) -> Result<Vec<Bytes>, Failure> {
        Ok(segs.iter().map(|s| Bytes::from(s.to_vec())).collect())
    }
}
