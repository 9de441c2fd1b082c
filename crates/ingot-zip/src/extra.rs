//! Extra fields: only those that can change what an entry means are looked into.

use ingot_core::Refusal;

use crate::refuse::{Rule, entry};
use crate::source::{u16_at, u32_at, u64_at};

const ZIP64: u16 = 0x0001;
const UNIX_WITH_LINK: u16 = 0x000D;
const STRONG_ENCRYPTION: u16 = 0x0017;
const ASI_UNIX: u16 = 0x756E;
const UNICODE_PATH: u16 = 0x7075;
const AES: u16 = 0x9901;

/// What the extra fields of one header add to it.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    /// The zip64 numbers, in the order they stand.
    pub(crate) zip64: Option<Vec<u64>>,
    /// What is left of the zip64 field after whole numbers: the disk, when it is four bytes.
    pub(crate) zip64_rest: Vec<u8>,
    /// A Unix mode.
    pub(crate) mode: Option<u16>,
}

/// Reads the extra fields of an entry.
pub(crate) fn read_extra(name: &[u8], mut fields: &[u8]) -> Result<Extra, Refusal> {
    let mut extra = Extra::default();
    let mut seen = Vec::new();
    let malformed = || entry(Rule::Extra, name, "its extra fields cannot be read");
    while !fields.is_empty() {
        // Some packers align data by padding with fewer zeros than make a field.
        if fields.len() < 4 && fields.iter().all(|&byte| byte == 0) {
            break;
        }
        if fields.len() < 4 {
            return Err(malformed());
        }
        let (id, length) = (u16_at(fields, 0), usize::from(u16_at(fields, 2)));
        let Some(value) = fields[4..].get(..length) else { return Err(malformed()) };
        fields = &fields[4 + length..];
        let meaningful = matches!(
            id,
            ZIP64 | UNIX_WITH_LINK | STRONG_ENCRYPTION | ASI_UNIX | UNICODE_PATH | AES
        );
        if !meaningful {
            continue;
        }
        if seen.contains(&id) {
            return Err(entry(Rule::Extra, name, "the same extra field is there twice"));
        }
        seen.push(id);
        match id {
            ZIP64 => {
                let whole = value.len() / 8;
                extra.zip64 = Some((0..whole).map(|n| u64_at(value, n * 8)).collect());
                extra.zip64_rest = value[whole * 8..].to_vec();
            }
            UNICODE_PATH => check_unicode_path(name, value)?,
            ASI_UNIX if value.len() < 6 => return Err(malformed()),
            ASI_UNIX => extra.mode = Some(u16_at(value, 4)),
            // Access times and owners take 12 bytes; what follows is a link or a device.
            UNIX_WITH_LINK if value.len() > 12 => {
                return Err(entry(Rule::EntryType, name, "it is a link or a device"));
            }
            UNIX_WITH_LINK => {}
            _ => return Err(entry(Rule::Unsupported, name, "it is encrypted")),
        }
    }
    Ok(extra)
}

/// A second name for readers that know this field; the others never see it, so it must be the same.
fn check_unicode_path(name: &[u8], value: &[u8]) -> Result<(), Refusal> {
    let same = value.len() >= 5
        && value[0] == 1
        && u32_at(value, 1) == crc32fast::hash(name)
        && &value[5..] == name;
    if !same {
        return Err(entry(
            Rule::EntryName,
            name,
            "the name in its Unicode path field is another; readers would disagree",
        ));
    }
    Ok(())
}
