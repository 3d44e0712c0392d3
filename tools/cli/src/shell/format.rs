//! Owns how things are printed: as zkCli prints them. Must not talk to a server.
//! Source: `StatPrinter`, `ZKUtil.getPermString`, `ByteBufUtil.prettyHexDump` (their output).

use menagerie_wire::data::{Acl, Stat, perms};
use serde_json::{Value, json};

/// ms since the Unix epoch as Java's `Date.toString` shows it, in UTC.
pub(crate) fn date(ms: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = ms.div_euclid(1000);
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to a date by 400-year eras that begin on 1 March, so that leap days come last.
    let shifted = day + 719_468;
    let (era, in_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * in_year + 2) / 153;
    let day_of_month = in_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12;
    let year = year_of_era + era * 400 + i64::from(from_march >= 10);
    let name = |names: &[&'static str], at: i64| {
        usize::try_from(at)
            .ok()
            .and_then(|at| names.get(at).copied())
            .unwrap_or("???")
    };
    format!(
        "{} {} {day_of_month:02} {:02}:{:02}:{:02} UTC {year}",
        name(&DAYS, day.rem_euclid(7)),
        name(&MONTHS, month),
        second / 3600,
        second / 60 % 60,
        second % 60,
    )
}

/// The lines that `-s` adds.
pub(crate) fn stat(stat: &Stat) -> String {
    format!(
        "cZxid = 0x{:x}\nctime = {}\nmZxid = 0x{:x}\nmtime = {}\npZxid = 0x{:x}\ncversion = {}\n\
         dataVersion = {}\naclVersion = {}\nephemeralOwner = 0x{:x}\ndataLength = {}\n\
         numChildren = {}\n",
        stat.czxid,
        date(stat.ctime),
        stat.mzxid,
        date(stat.mtime),
        stat.pzxid,
        stat.cversion,
        stat.version,
        stat.aversion,
        stat.ephemeral_owner,
        stat.data_length,
        stat.num_children
    )
}

/// A stat for programs.
pub(crate) fn stat_json(stat: &Stat) -> Value {
    json!({
        "czxid": stat.czxid, "ctime": stat.ctime, "mzxid": stat.mzxid, "mtime": stat.mtime,
        "pzxid": stat.pzxid, "cversion": stat.cversion, "version": stat.version,
        "aversion": stat.aversion, "ephemeralOwner": format!("0x{:x}", stat.ephemeral_owner),
        "dataLength": stat.data_length, "numChildren": stat.num_children,
    })
}

/// `[a, b]`.
pub(crate) fn list(names: &[String]) -> String {
    format!("[{}]", names.join(", "))
}

const PERMS: [(char, i32); 5] = [
    ('c', perms::CREATE),
    ('d', perms::DELETE),
    ('r', perms::READ),
    ('w', perms::WRITE),
    ('a', perms::ADMIN),
];

/// `cdrwa`.
pub(crate) fn perm_text(bits: i32) -> String {
    PERMS
        .iter()
        .filter(|(_, bit)| bits & bit != 0)
        .map(|(letter, _)| *letter)
        .collect()
}

/// Reads `cdrwa`; the unknown letters go to `unknown`.
pub(crate) fn perm_bits(text: &str, unknown: &mut Vec<char>) -> i32 {
    let mut bits = 0;
    for letter in text.chars() {
        match PERMS.iter().find(|(known, _)| *known == letter) {
            Some((_, bit)) => bits |= bit,
            None => unknown.push(letter),
        }
    }
    bits
}

/// The lines of getAcl.
pub(crate) fn acls(acls: &[Acl<'_>]) -> String {
    let text =
        |field: &Option<std::borrow::Cow<'_, str>>| field.as_deref().unwrap_or("null").to_owned();
    acls.iter()
        .map(|a| {
            format!(
                "'{},'{}\n: {}\n",
                text(&a.id.scheme),
                text(&a.id.id),
                perm_text(a.perms)
            )
        })
        .collect()
}

/// ACLs for programs.
pub(crate) fn acls_json(acls: &[Acl<'_>]) -> Value {
    let entry =
        |a: &Acl<'_>| json!({ "scheme": a.id.scheme, "id": a.id.id, "perms": perm_text(a.perms) });
    acls.iter().map(entry).collect()
}

/// Bytes as a table of hexadecimal numbers and characters, without the last line's end.
pub(crate) fn hex_dump(data: &[u8]) -> String {
    const EDGE: &str =
        "+--------+-------------------------------------------------+----------------+";
    if data.is_empty() {
        return String::new();
    }
    let mut out = String::from("         +-------------------------------------------------+\n");
    out += "         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |\n";
    out += EDGE;
    for (row, chunk) in data.chunks(16).enumerate() {
        let hex: String = chunk.iter().map(|byte| format!(" {byte:02x}")).collect();
        let letter = |byte: &u8| match byte {
            0x20..=0x7E => char::from(*byte),
            _ => '.',
        };
        let letters: String = chunk.iter().map(letter).collect();
        out += &format!("\n|{:08x}|{hex:<48} |{letters:<16}|", row * 16);
    }
    out + "\n" + EDGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_java() {
        assert_eq!(date(0), "Thu Jan 01 00:00:00 UTC 1970");
        assert_eq!(date(1_795_493_864_123), "Tue Nov 24 04:17:44 UTC 2026");
        assert_eq!(date(951_782_400_000), "Tue Feb 29 00:00:00 UTC 2000");
        assert_eq!(date(978_307_199_999), "Sun Dec 31 23:59:59 UTC 2000");
        assert_eq!(date(-1), "Wed Dec 31 23:59:59 UTC 1969");
    }

    #[test]
    fn permissions_both_ways() {
        let mut unknown = Vec::new();
        assert_eq!(perm_bits("cdrwa", &mut unknown), perms::ALL);
        assert_eq!(perm_bits("rz", &mut unknown), perms::READ);
        assert_eq!(unknown, ['z']);
        assert_eq!(perm_text(perms::ALL), "cdrwa");
        assert_eq!(perm_text(perms::READ | perms::ADMIN), "ra");
    }

    #[test]
    fn a_dump_is_that_of_zkcli() {
        let expected = "         +-------------------------------------------------+
         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |
+--------+-------------------------------------------------+----------------+
|00000000| 68 65 6c 6c 6f                                  |hello           |
+--------+-------------------------------------------------+----------------+";
        assert_eq!(hex_dump(b"hello"), expected);
        assert!(hex_dump(&[0; 17]).contains("|00000010| 00    "));
    }

    #[test]
    fn a_stat_is_that_of_zkcli() {
        let node = Stat {
            czxid: 0x8acf6,
            mzxid: 0x8ad02,
            ctime: 1_795_493_864_000,
            mtime: 1_795_493_869_000,
            version: 2,
            pzxid: 0x8acf6,
            data_length: 2,
            ..Stat::default()
        };
        let expected = "cZxid = 0x8acf6
ctime = Tue Nov 24 04:17:44 UTC 2026
mZxid = 0x8ad02
mtime = Tue Nov 24 04:17:49 UTC 2026
pZxid = 0x8acf6
cversion = 0
dataVersion = 2
aclVersion = 0
ephemeralOwner = 0x0
dataLength = 2
numChildren = 0
";
        assert_eq!(stat(&node), expected);
    }

    #[test]
    fn acls_are_those_of_zkcli() {
        let entries = [
            Acl::new(31, "world", "anyone"),
            Acl::new(3, "ip", "127.0.0.1"),
        ];
        assert_eq!(
            acls(&entries),
            "'world,'anyone\n: cdrwa\n'ip,'127.0.0.1\n: rw\n"
        );
    }
}
