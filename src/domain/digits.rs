//! Numbers as digits, without what formatting costs: every answer has some.

/// In decimal.
pub(crate) fn write_decimal(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let (mut rest, mut len) = (number, 0);
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        len += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.split_at(20 - len).1);
}

/// In lower-case hexadecimal, at least `least` digits.
pub(crate) fn write_hex(number: u64, least: u32, out: &mut Vec<u8>) {
    let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(least);
    out.extend((0..digits).rev().map(|place| hex_digit((number >> (4 * place)) as u8 & 0xf)));
}

/// The digit of a number below 16.
pub(crate) fn hex_digit(number: u8) -> u8 {
    if number < 10 { b'0' + number } else { b'a' + number - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_formatting() {
        let written = |write: fn(u64, &mut Vec<u8>), number| {
            let mut out = Vec::new();
            write(number, &mut out);
            String::from_utf8(out).unwrap()
        };
        for number in [0, 9, 10, 15, 16, 255, 1_000_000, u64::MAX / 10, u64::MAX] {
            assert_eq!(written(write_decimal, number), number.to_string());
            assert_eq!(written(|n, out| write_hex(n, 1, out), number), format!("{number:x}"));
            assert_eq!(written(|n, out| write_hex(n, 16, out), number), format!("{number:016x}"));
        }
    }
}
