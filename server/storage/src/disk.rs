//! Owns what the file formats need from a disk, and the real one. May use std and rustix. Must not
//! know any format. A simulated disk, or one that fails on demand, implements the same two traits.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::planted::Planted;

/// A place for files. Errors are the system's; callers add the path.
pub trait Disk: Debug + Send + Sync {
    /// Makes an empty file, or empties one, for reading and writing.
    ///
    /// # Errors
    /// When the system cannot.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file.
    ///
    /// # Errors
    /// When the system cannot.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>>;
    /// The paths of a directory's entries, in no order.
    ///
    /// # Errors
    /// When the system cannot.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// Makes a directory and those above it.
    ///
    /// # Errors
    /// When the system cannot.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Gives a file a new name, in place of a file that had it.
    ///
    /// # Errors
    /// When the system cannot.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// When the system cannot.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory's entries durable: without it a new file, or a new name, may be gone
    /// after a power failure although its content was synced.
    ///
    /// # Errors
    /// When the system cannot.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// The bug to have, if any: only a simulated disk asks for one.
    fn planted(&self) -> Planted {
        Planted::default()
    }
}

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
}

/// An open file; offsets and lengths in bytes.
pub trait DiskFile: Debug + Send + Sync {
    /// Reads at most `buffer.len()` bytes; 0 at the end.
    ///
    /// # Errors
    /// When the system cannot.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all bytes.
    ///
    /// # Errors
    /// When the system cannot; a part may have been written.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// The file's length.
    ///
    /// # Errors
    /// When the system cannot.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// When the system cannot.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }
    /// Cuts or extends the file.
    ///
    /// # Errors
    /// When the system cannot.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes the bytes durable, and the length if it changed.
    ///
    /// # Errors
    /// When the system cannot. What is on disk is then unknown, also after another call succeeds.
    fn sync_data(&self) -> io::Result<()>;
    /// The first offset from `offset` on that may hold something other than zeros; `None` when
    /// nothing does. Skips the holes of sparse files where the system knows them.
    ///
    /// # Errors
    /// When the system cannot.
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        Ok((offset < self.len()?).then_some(offset))
    }
}

/// The file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct StdDisk;

impl StdDisk {
    /// As the other types take it.
    #[must_use]
    pub fn shared() -> Arc<dyn Disk> {
        Arc::new(Self)
    }
}

impl Disk for StdDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        Ok(Arc::new(StdFile(file)))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let write = access == Access::Write;
        let file = OpenOptions::new().read(true).write(write).open(path)?;
        Ok(Arc::new(StdFile(file)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(dir)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect()
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

#[derive(Debug)]
struct StdFile(File);

impl DiskFile for StdFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.0.metadata().map(|metadata| metadata.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        if offset >= self.len()? {
            return Ok(None);
        }
        // The file's own position is used by nothing else: all access names its offset.
        match rustix::fs::seek(&self.0, rustix::fs::SeekFrom::Data(offset)) {
            Ok(at) => Ok(Some(at)),
            Err(rustix::io::Errno::NXIO) => Ok(None),
            Err(_) => Ok(Some(offset)),
        }
    }
}

/// Reads a file from its start, for code that wants a stream.
#[derive(Debug)]
pub(crate) struct FileReader {
    file: Arc<dyn DiskFile>,
    offset: u64,
}

impl FileReader {
    pub(crate) const fn new(file: Arc<dyn DiskFile>) -> Self {
        Self { file, offset: 0 }
    }

    pub(crate) fn file(&self) -> &dyn DiskFile {
        &*self.file
    }
}

impl io::Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buffer, self.offset)?;
        self.offset += n as u64;
        Ok(n)
    }
}

/// Writes a file from its start, for code that wants a stream.
#[derive(Debug)]
pub(crate) struct FileWriter {
    file: Arc<dyn DiskFile>,
    offset: u64,
}

impl FileWriter {
    pub(crate) const fn new(file: Arc<dyn DiskFile>) -> Self {
        Self { file, offset: 0 }
    }
}

impl io::Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
