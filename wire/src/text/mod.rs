//! Owns the text formats: properties files, `zoo.cfg`, server specs, four-letter words, ACL strings,
//! Java flags. May use nom. Must not read files or know what a setting does.

pub mod acl;
pub mod cfg;
pub mod fourletter;
pub mod jvmflags;
pub mod properties;
