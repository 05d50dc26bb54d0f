//! COPY data give the same rows or error in whatever pieces they come.
#![no_main]
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use towline::pg::SqlError;
use towline::pg::copy::{CopyFormat, CopyOptions, Decoder, Row};

#[derive(Arbitrary, Debug)]
struct Input {
    format: u8,
    header: bool,
    escape: u8,
    columns: u8,
    step: u8,
    data: Vec<u8>,
}

type Rows = Vec<Vec<Option<Vec<u8>>>>;

fn read(options: &CopyOptions, columns: usize, data: &[u8], step: usize) -> Result<Rows, SqlError> {
    let names = (0..columns).map(|at| at.to_string()).collect();
    let mut decoder = Decoder::new(options.clone(), "t".to_owned(), names);
    let (mut rows, mut row) = (Vec::new(), Row::default());
    let mut take = |decoder: &mut Decoder| -> Result<(), SqlError> {
        while decoder.next_row(&mut row)? {
            rows.push(row.fields().map(|field| field.map(<[u8]>::to_vec)).collect());
        }
        Ok(())
    };
    for piece in data.chunks(step) {
        decoder.feed(piece);
        take(&mut decoder)?;
    }
    decoder.finish();
    take(&mut decoder)?;
    Ok(rows)
}

fuzz_target!(|input: Input| {
    let format =
        [CopyFormat::Text, CopyFormat::Csv, CopyFormat::Binary][usize::from(input.format % 3)];
    let mut options = CopyOptions::new(format);
    options.header = input.header && format != CopyFormat::Binary;
    if input.escape.is_ascii_graphic() && input.escape != options.delimiter {
        options.escape = input.escape;
    }
    let columns = usize::from(input.columns % 8) + 1;
    let whole = read(&options, columns, &input.data, usize::MAX);
    let pieces = read(&options, columns, &input.data, usize::from(input.step) + 1);
    assert_eq!(whole, pieces);
});
