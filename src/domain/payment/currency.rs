//! Currencies of ISO 4217, each with how many decimals its minor unit stands for.

/// Codes by exponent: 1999 in a currency of exponent 2 is 19.99. Codes that were withdrawn lately stay, as
/// events of before name them.
const BY_EXPONENT: [(u8, &[u8]); 4] = [
    (
        2,
        b"EUR USD GBP CHF AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD \
          BTN BWP BYN BZD CAD CDF CHE CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB FJD FKP GEL \
          GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD \
          LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN \
          PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB \
          TJS TMT TOP TRY TTD TWD TZS UAH USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG",
    ),
    (0, b"JPY KRW BIF CLP DJF GNF ISK KMF PYG RWF UGX UYI VND VUV XAF XOF XPF"),
    (3, b"BHD IQD JOD KWD LYD OMR TND"),
    (4, b"CLF UYW"),
];

/// A currency of ISO 4217.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// From its code, in capitals or not; none: there is no such currency.
    pub fn parse(code: &[u8]) -> Option<Self> {
        let code: [u8; 3] = code.to_ascii_uppercase().try_into().ok()?;
        exponent_of(code).map(|_| Self(code))
    }

    /// Its code as it is stored.
    pub(crate) fn bytes(self) -> [u8; 3] {
        self.0
    }

    /// As it was stored: the code was looked up before.
    pub(crate) fn stored(bytes: [u8; 3]) -> Option<Self> {
        bytes.iter().all(u8::is_ascii_uppercase).then_some(Self(bytes))
    }

    /// Its code, in capitals.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Decimals of its minor unit: 2 for EUR, 0 for JPY, 3 for BHD.
    pub fn exponent(self) -> u8 {
        exponent_of(self.0).unwrap_or(2)
    }
}

fn exponent_of(code: [u8; 3]) -> Option<u8> {
    let has = |codes: &[u8]| codes.chunks(4).any(|each| each.starts_with(&code));
    BY_EXPONENT.iter().find(|(_, codes)| has(codes)).map(|(exponent, _)| *exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_currency_has_the_exponent_of_iso_4217() {
        let exponent = |code: &str| Currency::parse(code.as_bytes()).map(Currency::exponent);
        for (code, expected) in
            [("EUR", 2), ("jpy", 0), ("BHD", 3), ("CLF", 4), ("ZWG", 2), ("XPF", 0), ("TND", 3)]
        {
            assert_eq!(exponent(code), Some(expected), "{code}");
        }
        for code in ["", "EU", "EURO", "XYZ", "EU ", "€", "R U"] {
            assert_eq!(exponent(code), None, "{code}");
        }
    }

    #[test]
    fn every_code_stands_in_the_table_once_and_whole() {
        let all = BY_EXPONENT.iter().flat_map(|(_, codes)| codes.chunks(4));
        let all: Vec<_> = all.map(|code| code.trim_ascii()).collect();
        assert!(all.iter().all(|code| code.len() == 3 && code.iter().all(u8::is_ascii_uppercase)));
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
