//! Numbers and layouts of the format. All integers are little-endian.

use std::io;

/// Bytes of one page.
pub(crate) const PAGE: usize = 4096;
/// Bytes of a page's header: ID u64, kind u16, count u16, further pages u32.
pub(crate) const PAGE_HEADER: usize = 16;
/// Bytes of an element's header, on leaves and branches.
pub(crate) const ELEMENT: usize = 16;
/// Bytes of a bucket's header: root page u64, sequence u64.
pub(crate) const BUCKET: usize = 16;

pub(crate) const BRANCH: u16 = 0x01;
pub(crate) const LEAF: u16 = 0x02;
pub(crate) const META: u16 = 0x04;
pub(crate) const FREE: u16 = 0x10;

/// Flag of a leaf element whose value is a bucket.
pub(crate) const IS_BUCKET: u32 = 0x01;

pub(crate) const MAGIC: u32 = 0xED0C_DAED;
pub(crate) const VERSION: u32 = 2;

/// A file that is not one of these, or is damaged.
pub(crate) fn damaged(what: impl AsRef<str>) -> io::Error {
    let text = format!("the bbolt file is damaged: {}", what.as_ref());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

pub(crate) fn u16_at(data: &[u8], at: usize) -> io::Result<u16> {
    Ok(u16::from_le_bytes(bytes(data, at)?))
}

pub(crate) fn u32_at(data: &[u8], at: usize) -> io::Result<u32> {
    Ok(u32::from_le_bytes(bytes(data, at)?))
}

pub(crate) fn u64_at(data: &[u8], at: usize) -> io::Result<u64> {
    Ok(u64::from_le_bytes(bytes(data, at)?))
}

fn bytes<const N: usize>(data: &[u8], at: usize) -> io::Result<[u8; N]> {
    data.get(at..at + N)
        .and_then(|b| b.try_into().ok())
        .ok_or_else(|| damaged("it ends too early"))
}

/// A page's header.
pub(crate) fn page_header(id: u64, kind: u16, count: u16, further: u32) -> [u8; PAGE_HEADER] {
    let mut out = [0; PAGE_HEADER];
    out[..8].copy_from_slice(&id.to_le_bytes());
    out[8..10].copy_from_slice(&kind.to_le_bytes());
    out[10..12].copy_from_slice(&count.to_le_bytes());
    out[12..].copy_from_slice(&further.to_le_bytes());
    out
}

/// What a meta page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) page_size: u32,
    /// Root page of the bucket of buckets.
    pub(crate) root: u64,
    pub(crate) freelist: u64,
    /// Pages in the file.
    pub(crate) pages: u64,
    /// The meta page with the higher one counts.
    pub(crate) transaction: u64,
}

/// Bytes of a meta before its checksum.
const META_BYTES: usize = 56;

impl Meta {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(META_BYTES + 8);
        out.extend(MAGIC.to_le_bytes());
        out.extend(VERSION.to_le_bytes());
        out.extend(self.page_size.to_le_bytes());
        out.extend(0_u32.to_le_bytes());
        for number in [self.root, 0, self.freelist, self.pages, self.transaction] {
            out.extend(number.to_le_bytes());
        }
        let sum = checksum(&out);
        out.extend(sum.to_le_bytes());
        out
    }

    /// From what follows a meta page's header.
    pub(crate) fn decode(data: &[u8]) -> io::Result<Self> {
        if u32_at(data, 0)? != MAGIC {
            return Err(damaged("it is not a bbolt file"));
        }
        if u32_at(data, 4)? != VERSION {
            return Err(damaged("its format is another version"));
        }
        if u64_at(data, META_BYTES)? != checksum(&data[..META_BYTES]) {
            return Err(damaged("a meta page's checksum is wrong"));
        }
        Ok(Self {
            page_size: u32_at(data, 8)?,
            root: u64_at(data, 16)?,
            freelist: u64_at(data, 32)?,
            pages: u64_at(data, 40)?,
            transaction: u64_at(data, 48)?,
        })
    }
}

/// FNV-1a, 64 bits.
fn checksum(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
