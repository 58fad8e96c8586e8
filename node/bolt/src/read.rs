//! Reading a file that somebody else may have written: every length and page number
//! is checked, and what does not fit is an error, never a panic.

use crate::format::{
    BRANCH, BUCKET, ELEMENT, IS_BUCKET, LEAF, Meta, PAGE_HEADER, damaged, u16_at, u32_at, u64_at,
};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Levels of a tree: more than any file of a possible size has.
const DEPTH_MAX: usize = 64;
/// Smallest and largest page sizes that bbolt can have.
const PAGE_SIZES: std::ops::RangeInclusive<u32> = 512..=65_536;

/// An open file.
pub struct Reader {
    file: File,
    meta: Meta,
    length: u64,
}

/// A walk through a tree: how many more pages it may meet before it must be a circle.
struct Walk<'a> {
    left: u64,
    /// Levels above.
    depth: usize,
    visit: &'a mut dyn FnMut(Leaf<'_>) -> io::Result<()>,
}

/// One page with those that continue it.
struct Page {
    id: u64,
    data: Vec<u8>,
}

/// What a leaf element holds.
struct Leaf<'a> {
    flags: u32,
    key: &'a [u8],
    value: &'a [u8],
}

impl Page {
    fn kind(&self) -> io::Result<u16> {
        u16_at(&self.data, 8)
    }

    fn count(&self) -> io::Result<usize> {
        Ok(usize::from(u16_at(&self.data, 10)?))
    }

    fn slice(&self, at: usize, length: u32) -> io::Result<&[u8]> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        at.checked_add(length)
            .and_then(|end| self.data.get(at..end))
            .ok_or_else(|| damaged(format!("page {} points outside itself", self.id)))
    }

    fn leaf(&self, n: usize) -> io::Result<Leaf<'_>> {
        let header = PAGE_HEADER + n * ELEMENT;
        let [flags, position, key, value] = [0, 4, 8, 12].map(|at| u32_at(&self.data, header + at));
        let (position, key) = (position? as usize, key?);
        let key_bytes = self.slice(header.saturating_add(position), key)?;
        let behind = header.saturating_add(position).saturating_add(key as usize);
        Ok(Leaf {
            flags: flags?,
            key: key_bytes,
            value: self.slice(behind, value?)?,
        })
    }

    fn below(&self, n: usize) -> io::Result<u64> {
        u64_at(&self.data, PAGE_HEADER + n * ELEMENT + 8)
    }
}

/// Called for each pair, in order.
type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> io::Result<()>;

impl Reader {
    /// Opens a file.
    ///
    /// # Errors
    /// If it cannot be read or is not a bbolt file.
    pub fn open(file: File) -> io::Result<Self> {
        let mut start = [0; 4096];
        let first = match file.read_exact_at(&mut start, 0) {
            Ok(()) => Meta::decode(&start[PAGE_HEADER..]),
            Err(_) => Err(damaged("it ends before its first page does")),
        };
        // The second page begins where the first says that pages end; if the first is
        // damaged, at the usual size.
        let size = match &first {
            Ok(meta) if PAGE_SIZES.contains(&meta.page_size) => u64::from(meta.page_size),
            Ok(_) => return Err(damaged("its page size is impossible")),
            Err(_) => 4096,
        };
        let second = match file.read_exact_at(&mut start, size) {
            Ok(()) => Meta::decode(&start[PAGE_HEADER..]),
            Err(_) => Err(damaged("it ends before its second page does")),
        };
        let meta = match (first, second) {
            (Ok(a), Ok(b)) => {
                if a.transaction > b.transaction {
                    a
                } else {
                    b
                }
            }
            (Ok(one), Err(_)) | (Err(_), Ok(one)) => one,
            (Err(error), Err(_)) => return Err(error),
        };
        if !PAGE_SIZES.contains(&meta.page_size) {
            return Err(damaged("its page size is impossible"));
        }
        let length = file.metadata()?.len();
        Ok(Self { file, meta, length })
    }

    fn page(&self, id: u64) -> io::Result<Page> {
        if id < 2 || id >= self.meta.pages {
            return Err(damaged(format!("there is no page {id}")));
        }
        let size = u64::from(self.meta.page_size);
        let mut header = [0; PAGE_HEADER];
        let outside = |_| damaged(format!("page {id} is missing"));
        let at = id
            .checked_mul(size)
            .ok_or_else(|| damaged(format!("there is no page {id}")))?;
        self.file.read_exact_at(&mut header, at).map_err(outside)?;
        let further = u64::from(u32_at(&header, 12)?);
        let behind = (id + further + 1).checked_mul(size);
        if u64_at(&header, 0)? != id
            || id + further >= self.meta.pages
            || behind.is_none_or(|end| end > self.length)
        {
            return Err(damaged(format!("page {id} has a wrong header")));
        }
        let length = usize::try_from((further + 1) * size).map_err(io::Error::other)?;
        let mut data = vec![0; length];
        self.file.read_exact_at(&mut data, at).map_err(outside)?;
        Ok(Page { id, data })
    }

    /// Pages that a walk can meet: a file may say that it has more than its length allows.
    fn pages(&self) -> u64 {
        let whole = self.length / u64::from(self.meta.page_size);
        self.meta.pages.min(whole)
    }

    fn walk(&self, root: u64, visit: &mut dyn FnMut(Leaf<'_>) -> io::Result<()>) -> io::Result<()> {
        let left = self.pages();
        let mut walk = Walk {
            left,
            depth: 0,
            visit,
        };
        self.descend(root, &mut walk)
    }

    fn descend(&self, page: u64, walk: &mut Walk<'_>) -> io::Result<()> {
        walk.left = walk
            .left
            .checked_sub(1)
            .filter(|_| walk.depth < DEPTH_MAX)
            .ok_or_else(|| damaged("its pages form a circle"))?;
        walk.depth += 1;
        self.walk_page(&self.page(page)?, walk)?;
        walk.depth -= 1;
        Ok(())
    }

    fn walk_page(&self, page: &Page, walk: &mut Walk<'_>) -> io::Result<()> {
        match page.kind()? {
            LEAF => (0..page.count()?).try_for_each(|n| (walk.visit)(page.leaf(n)?)),
            BRANCH => (0..page.count()?).try_for_each(|n| self.descend(page.below(n)?, walk)),
            other => Err(damaged(format!("page {} has kind {other}", page.id))),
        }
    }

    /// Visits the pairs of a top-level bucket; `false` if there is none of that name.
    ///
    /// # Errors
    /// If the file is damaged, or those of `visit`.
    pub fn bucket(&self, name: &[u8], visit: Visit<'_>) -> io::Result<bool> {
        let mut found = None;
        self.walk(self.meta.root, &mut |leaf| {
            if leaf.flags & IS_BUCKET != 0 && leaf.key == name {
                found = Some(leaf.value.to_vec());
            }
            Ok(())
        })?;
        let Some(value) = found else {
            return Ok(false);
        };
        let pair = &mut |leaf: Leaf<'_>| visit(leaf.key, leaf.value);
        match u64_at(&value, 0)? {
            // A small bucket's only page stands behind its header.
            0 => {
                let data = value.get(BUCKET..).unwrap_or_default().to_vec();
                let left = self.pages();
                self.walk_page(
                    &Page { id: 0, data },
                    &mut Walk {
                        left,
                        depth: 0,
                        visit: pair,
                    },
                )?;
            }
            root => self.walk(root, pair)?,
        }
        Ok(true)
    }

    /// Names of the top-level buckets.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn buckets(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        self.walk(self.meta.root, &mut |leaf| {
            if leaf.flags & IS_BUCKET != 0 {
                names.push(leaf.key.to_vec());
            }
            Ok(())
        })?;
        Ok(names)
    }
}
