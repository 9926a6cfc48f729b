//! Object stores and data directories for the tests of segments.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;

/// A hook, and what objects must end in for it.
type Hook = (&'static str, Box<dyn FnOnce() + Send>);

/// A store in memory that can be watched.
#[derive(Default)]
pub(crate) struct Hooked {
    inner: InMemory,
    ignores_conditions: bool,
    hook: Mutex<Option<Hook>>,
    snapshot: Arc<Mutex<Option<InMemory>>>,
}

impl Hooked {
    /// One that overwrites whatever it is asked to put.
    pub(crate) fn without_conditions() -> Hooked {
        Hooked { ignores_conditions: true, ..Hooked::default() }
    }

    /// After the next put of an object whose name ends so, calls `hook` and keeps the store as it then is.
    pub(crate) fn snapshot_after_put(
        &self,
        suffix: &'static str,
        hook: impl FnOnce() + Send + 'static,
    ) -> Arc<Mutex<Option<InMemory>>> {
        *self.hook.lock() = Some((suffix, Box::new(hook)));
        self.snapshot.clone()
    }
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooked")
    }
}

impl fmt::Display for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooked")
    }
}

#[async_trait]
impl ObjectStore for Hooked {
    async fn put_opts(&self, location: &ObjectPath, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let mode = if self.ignores_conditions { PutMode::Overwrite } else { options.mode.clone() };
        let put = self.inner.put_opts(location, payload, PutOptions { mode, ..options }).await?;
        let hook = self.hook.lock().take_if(|(suffix, _)| location.as_ref().ends_with(*suffix));
        if let Some((_, hook)) = hook {
            hook();
            *self.snapshot.lock() = Some(self.inner.fork());
        }
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        location: &ObjectPath,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &ObjectPath, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<ObjectPath>>,
    ) -> BoxStream<'static, Result<ObjectPath>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&ObjectPath>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &ObjectPath, to: &ObjectPath, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// Names of the objects that end so.
pub(crate) fn objects(store: &Arc<dyn ObjectStore>, suffix: &str) -> Vec<String> {
    let listed =
        futures::executor::block_on(store.list(None).map_ok(|meta| meta.location.to_string()).collect::<Vec<_>>());
    listed.into_iter().map(Result::unwrap).filter(|path| path.ends_with(suffix)).collect()
}

/// Copies a data directory, as `cp -r` does.
pub(crate) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Makes a copy look as a snapshot of the disk would: as the very directory that it was copied from.
pub(crate) fn hide_copying(dir: &Path) {
    let path = dir.join("segment-store-standing");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, after) = text.split_once("\"made\":\"").unwrap();
    let (_, after) = after.split_once('"').unwrap();
    // Where nothing is known of the identity's file, nothing can be said against it.
    std::fs::write(&path, format!("{before}\"made\":\"\"{after}")).unwrap();
}
