//! Writing a file from front to back: buckets one after the other, each with its keys
//! in order. Leaves go out as they fill; what is kept is one key per page.

use crate::format::{
    BRANCH, BUCKET, ELEMENT, FREE, IS_BUCKET, LEAF, META, Meta, PAGE, PAGE_HEADER, page_header,
};
use std::io::{self, Seek, SeekFrom, Write};

/// Pages before the first bucket: two metas and the list of free pages.
const FIRST: u64 = 3;

/// One element of a page that is being filled.
struct Element {
    flags: u32,
    /// On a branch: the page below.
    below: u64,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Element {
    fn size(&self) -> usize {
        ELEMENT + self.key.len() + self.value.len()
    }
}

/// The first key of a page that was written, and the page.
type Written = (Vec<u8>, u64);

/// Adds a pair to the bucket being written.
pub type Add<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> io::Result<()>;

/// Writes one file.
pub struct Writer<F> {
    file: F,
    next: u64,
    /// Buckets that are finished: name and root page.
    buckets: Vec<(Vec<u8>, u64)>,
    /// The bucket being written.
    name: Vec<u8>,
    pending: Vec<Element>,
    pending_bytes: usize,
    leaves: Vec<Written>,
}

impl<F: Write + Seek> Writer<F> {
    /// Starts a file, which must be empty.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn new(mut file: F) -> io::Result<Self> {
        file.write_all(&[0; PAGE * FIRST as usize])?;
        Ok(Self {
            file,
            next: FIRST,
            buckets: Vec::new(),
            name: Vec::new(),
            pending: Vec::new(),
            pending_bytes: PAGE_HEADER,
            leaves: Vec::new(),
        })
    }

    /// Writes a bucket. `fill` gets a function to add one pair after the other, in
    /// the order of the keys. Buckets may come in any order.
    ///
    /// # Errors
    /// If the file cannot be written, a key is not above the one before, or `fill` fails.
    pub fn bucket(
        &mut self,
        name: &[u8],
        fill: impl FnOnce(Add<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.name = name.to_vec();
        let mut last: Option<Vec<u8>> = None;
        fill(&mut |key, value| {
            if last.as_deref().is_some_and(|last| last >= key) {
                return Err(io::Error::other("a bucket's keys must come in order"));
            }
            last = Some(key.to_vec());
            self.add(Element {
                flags: 0,
                below: 0,
                key: key.to_vec(),
                value: value.to_vec(),
            })
        })?;
        let root = self.finish_tree()?;
        self.buckets.push((std::mem::take(&mut self.name), root));
        Ok(())
    }

    fn add(&mut self, element: Element) -> io::Result<()> {
        let full = self.pending_bytes + element.size() > PAGE || self.pending.len() == 0xFFFF;
        if full && !self.pending.is_empty() {
            self.flush_leaf()?;
        }
        self.pending_bytes += element.size();
        self.pending.push(element);
        Ok(())
    }

    fn flush_leaf(&mut self) -> io::Result<()> {
        let elements = std::mem::take(&mut self.pending);
        self.pending_bytes = PAGE_HEADER;
        let first = elements.first().map(|e| e.key.clone()).unwrap_or_default();
        let page = self.page(LEAF, &elements)?;
        self.leaves.push((first, page));
        Ok(())
    }

    /// Writes a page, and as many further ones as it takes; its ID.
    fn page(&mut self, kind: u16, elements: &[Element]) -> io::Result<u64> {
        let bytes = PAGE_HEADER + elements.iter().map(Element::size).sum::<usize>();
        let pages = bytes.div_ceil(PAGE);
        let id = self.next;
        let count = u16::try_from(elements.len()).map_err(io::Error::other)?;
        let further = u32::try_from(pages - 1).map_err(io::Error::other)?;
        let mut out = Vec::with_capacity(pages * PAGE);
        out.extend(page_header(id, kind, count, further));
        // Positions count from the element's own header.
        let mut data = PAGE_HEADER + elements.len() * ELEMENT;
        for (n, element) in elements.iter().enumerate() {
            let header = PAGE_HEADER + n * ELEMENT;
            let position = u32::try_from(data - header).map_err(io::Error::other)?;
            let key = u32::try_from(element.key.len()).map_err(io::Error::other)?;
            let value = u32::try_from(element.value.len()).map_err(io::Error::other)?;
            if kind == LEAF {
                for number in [element.flags, position, key, value] {
                    out.extend(number.to_le_bytes());
                }
            } else {
                out.extend(position.to_le_bytes());
                out.extend(key.to_le_bytes());
                out.extend(element.below.to_le_bytes());
            }
            data += element.key.len() + element.value.len();
        }
        for element in elements {
            out.extend(&element.key);
            out.extend(&element.value);
        }
        out.resize(pages * PAGE, 0);
        self.file.write_all(&out)?;
        self.next += pages as u64;
        Ok(id)
    }

    /// Writes what is left of a tree, up to its root; the root's page.
    fn finish_tree(&mut self) -> io::Result<u64> {
        if !self.pending.is_empty() || self.leaves.is_empty() {
            self.flush_leaf()?;
        }
        let mut level = std::mem::take(&mut self.leaves);
        while level.len() > 1 {
            level = self.branches(level)?;
        }
        Ok(level.first().map_or(0, |(_, page)| *page))
    }

    /// The branches over one level.
    fn branches(&mut self, below: Vec<Written>) -> io::Result<Vec<Written>> {
        let mut written = Vec::new();
        let mut pending: Vec<Element> = Vec::new();
        let mut bytes = PAGE_HEADER;
        for (key, page) in below {
            let element = Element {
                flags: 0,
                below: page,
                key,
                value: Vec::new(),
            };
            // At least two a page, or the tree would never end.
            if pending.len() > 1 && bytes + element.size() > PAGE {
                written.push(self.branch(std::mem::take(&mut pending))?);
                bytes = PAGE_HEADER;
            }
            bytes += element.size();
            pending.push(element);
        }
        written.push(self.branch(pending)?);
        Ok(written)
    }

    fn branch(&mut self, elements: Vec<Element>) -> io::Result<Written> {
        let page = self.page(BRANCH, &elements)?;
        let first = elements.into_iter().next().map(|e| e.key);
        Ok((first.unwrap_or_default(), page))
    }

    /// Writes the bucket of buckets and the metas; the file is complete then.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn finish(mut self) -> io::Result<F> {
        self.buckets.sort();
        for (name, root) in std::mem::take(&mut self.buckets) {
            let mut value = Vec::with_capacity(BUCKET);
            value.extend(root.to_le_bytes());
            value.extend(0_u64.to_le_bytes());
            self.add(Element {
                flags: IS_BUCKET,
                below: 0,
                key: name,
                value,
            })?;
        }
        let root = self.finish_tree()?;
        self.file.seek(SeekFrom::Start(0))?;
        for id in [0, 1] {
            let meta = Meta {
                page_size: PAGE as u32,
                root,
                freelist: FIRST - 1,
                pages: self.next,
                transaction: id,
            };
            let mut page = page_header(id, META, 0, 0).to_vec();
            page.extend(meta.encode());
            page.resize(PAGE, 0);
            self.file.write_all(&page)?;
        }
        self.file.write_all(&page_header(FIRST - 1, FREE, 0, 0))?;
        self.file.flush()?;
        Ok(self.file)
    }
}
