//! COPY … TO 'file'. The file appears under its name only when it is whole.

use std::fs::File;
use std::io::BufWriter;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use millstream_formats::Writer;
use millstream_formats::csv::CsvOptions;

use super::Scene;
use super::copy_from::delimiter;
use super::files::{self, Format};
use super::new_file::NewFile;
use crate::parse::Options;
use crate::shares::Purpose;
use crate::{BatchStream, Error, Outcome, Result};

/// Writes rows to a file.
pub(crate) async fn copy_to(
    scene: &Scene,
    path: &str,
    mut options: Options,
    schema: SchemaRef,
    mut rows: BatchStream,
) -> Result<Outcome> {
    let format = Format::of(path, options.text("format")?.as_deref())?;
    let header = options.boolean("header")?.unwrap_or(true);
    let delimiter = delimiter(options.text("delimiter")?)?;
    let overwrite = options.boolean("overwrite")?.unwrap_or(false);
    options.finish("COPY … TO", &["format", "header", "delimiter", "overwrite"])?;
    scene.engine().check_files(scene.who())?;
    let shares = &scene.reader.shares;
    let (sql, named) = (Arc::clone(&scene.reader.options), path.to_owned());
    let begin = move || -> Result<(NewFile, Writer<BufWriter<File>>)> {
        let (new, file) = NewFile::create(&sql, &named, overwrite)?;
        let options = CsvOptions { header, delimiter };
        let writer = Writer::new(BufWriter::new(file), format.of_file(), &schema, options);
        let writer = writer.map_err(|error| failed(&new, &error))?;
        Ok((new, writer))
    };
    let (new, mut writer) = shares.run(Purpose::File, begin).await??;
    let new = Arc::new(new);
    let mut count = 0_u64;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        count += u64::try_from(batch.num_rows()).unwrap_or(0);
        let at = Arc::clone(&new);
        let write = move || writer.write(&batch).map(|()| writer).map_err(|error| failed(&at, &error));
        writer = shares.run(Purpose::File, write).await??;
    }
    let target = new.path().to_owned();
    let finish = move || -> Result<()> {
        let file = writer.finish().map_err(|error| failed(&new, &error))?;
        let file = file.into_inner().map_err(|error| failed(&new, &error))?;
        let new =
            Arc::into_inner(new).ok_or_else(|| Error::Internal("the new file is still being written".to_owned()))?;
        new.publish(&file)
    };
    shares.run(Purpose::File, finish).await??;
    Ok(Outcome::Done { rows: count, message: format!("{count} rows copied to {}", target.display()) })
}

fn failed(new: &NewFile, error: &dyn std::fmt::Display) -> Error {
    files::failed(new.path(), error)
}
