//! Keeps rows whose card number can be one: 12 to 19 digits, of which the last one checks the others (Luhn's sum). Of a message
//! the number is a property: `card_check(property(properties, 'card'))`.

use millstream_plugin::{Batch, Bitmap, DataType, Filter, Parameter, export_filter};

struct CardCheck;

impl Filter for CardCheck {
    const NAME: &'static str = "card-check";
    const PARAMETERS: &'static [Parameter] = &[Parameter::new("card", DataType::Utf8)];

    fn open(_config: &str) -> Result<Self, String> {
        Ok(CardCheck)
    }

    fn filter(&self, batch: &Batch<'_>) -> Result<Bitmap, String> {
        let card = batch.utf8("card")?;
        Ok(batch.select(|row| card.get(row).is_some_and(holds)))
    }
}

fn holds(number: &str) -> bool {
    if !(12..=19).contains(&number.len()) || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let digits = number.bytes().rev().map(|byte| u32::from(byte - b'0'));
    let sum: u32 = digits.enumerate().map(|(place, digit)| if place % 2 == 0 { digit } else { twice(digit) }).sum();
    sum.is_multiple_of(10)
}

/// What every second digit from the right counts: twice, and by the sum of its digits then.
fn twice(digit: u32) -> u32 {
    digit * 2 / 10 + digit * 2 % 10
}

export_filter!(CardCheck);
