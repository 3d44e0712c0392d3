//! Owns all calls of MIT's library for GSS-API, and all unsafe code of this crate. May set one
//! variable of the environment. Must not let a pointer out. Source: RFC 2744; `gssapi_ext.h`.
//!
//! The declarations are ours, a dozen functions with the types of the standard: the crate
//! `libgssapi` needs libclang to build, and cannot name a keytab for a credential.

#![allow(unsafe_code)]

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};

use super::{Accepted, GssError};

/// `gss_OID_desc`
#[repr(C)]
struct Oid {
    length: u32,
    elements: *const c_void,
}

/// `gss_OID_set_desc`
#[repr(C)]
struct OidSet {
    count: usize,
    elements: *const Oid,
}

/// `gss_buffer_desc`
#[repr(C)]
struct Buffer {
    length: usize,
    value: *mut c_void,
}

/// `gss_key_value_element_desc`
#[repr(C)]
struct KeyValue {
    key: *const c_char,
    value: *const c_char,
}

/// `gss_key_value_set_desc`
#[repr(C)]
struct KeyValues {
    count: u32,
    elements: *const KeyValue,
}

/// `gss_name_t`, `gss_cred_id_t`, `gss_ctx_id_t`
type Handle = *mut c_void;

#[link(name = "gssapi_krb5")]
unsafe extern "C" {
    fn gss_import_name(
        minor: *mut u32,
        text: *const Buffer,
        kind: *const Oid,
        name: *mut Handle,
    ) -> u32;
    fn gss_canonicalize_name(
        minor: *mut u32,
        name: Handle,
        mechanism: *const Oid,
        canonical: *mut Handle,
    ) -> u32;
    fn gss_display_name(
        minor: *mut u32,
        name: Handle,
        text: *mut Buffer,
        kind: *mut *const Oid,
    ) -> u32;
    fn gss_release_name(minor: *mut u32, name: *mut Handle) -> u32;
    fn gss_release_buffer(minor: *mut u32, buffer: *mut Buffer) -> u32;
    fn gss_display_status(
        minor: *mut u32,
        status: u32,
        kind: c_int,
        mechanism: *const Oid,
        more: *mut u32,
        text: *mut Buffer,
    ) -> u32;
    fn gss_acquire_cred_from(
        minor: *mut u32,
        name: Handle,
        seconds: u32,
        mechanisms: *const OidSet,
        usage: c_int,
        store: *const KeyValues,
        credential: *mut Handle,
        actual: *mut *mut OidSet,
        left: *mut u32,
    ) -> u32;
    fn gss_release_cred(minor: *mut u32, credential: *mut Handle) -> u32;
    fn gss_accept_sec_context(
        minor: *mut u32,
        context: *mut Handle,
        credential: Handle,
        input: *const Buffer,
        bindings: *const c_void,
        peer: *mut Handle,
        mechanism: *mut *const Oid,
        output: *mut Buffer,
        flags: *mut u32,
        left: *mut u32,
        delegated: *mut Handle,
    ) -> u32;
    fn gss_inquire_context(
        minor: *mut u32,
        context: Handle,
        initiator: *mut Handle,
        acceptor: *mut Handle,
        left: *mut u32,
        mechanism: *mut *const Oid,
        flags: *mut u32,
        local: *mut c_int,
        open: *mut c_int,
    ) -> u32;
    fn gss_wrap(
        minor: *mut u32,
        context: Handle,
        secret: c_int,
        quality: u32,
        input: *const Buffer,
        is_secret: *mut c_int,
        output: *mut Buffer,
    ) -> u32;
    fn gss_unwrap(
        minor: *mut u32,
        context: Handle,
        input: *const Buffer,
        output: *mut Buffer,
        is_secret: *mut c_int,
        quality: *mut u32,
    ) -> u32;
    fn gss_delete_sec_context(minor: *mut u32, context: *mut Handle, output: *mut Buffer) -> u32;
}

const COMPLETE: u32 = 0;
const CONTINUE_NEEDED: u32 = 1;
/// `GSS_C_ACCEPT`
const ACCEPT: c_int = 2;
/// The bits of a status that say what is wrong.
const ERRORS: u32 = 0xffff_0000;
/// Tokens that are none, not Kerberos', not there: `GSS_S_DEFECTIVE_TOKEN`, `GSS_S_BAD_MECH`,
/// `GSS_S_NO_CRED`, `GSS_S_CALL_INACCESSIBLE_READ`.
const UNREAD: [u32; 5] = [9 << 16, 1 << 16, 7 << 16, 1 << 24, 1 << 24 | 9 << 16];
const INDEFINITE: u32 = u32::MAX;
/// `GSS_C_GSS_CODE`, `GSS_C_MECH_CODE`
const GSS_CODE: c_int = 1;
const MECHANISM_CODE: c_int = 2;
/// Messages of one code; the library has one or two.
const MESSAGES_MAX: usize = 8;

/// 1.2.840.113554.1.2.2, Kerberos.
static KERBEROS: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2];
/// 1.2.840.113554.1.2.2.1, names of principals.
static PRINCIPAL: [u8; 10] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2, 1];
/// 1.2.840.113554.1.2.1.1, names of users.
static USER: [u8; 10] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 1, 1];

fn oid<const N: usize>(bytes: &'static [u8; N]) -> Oid {
    Oid {
        length: u32::try_from(N).unwrap_or(0),
        elements: bytes.as_ptr().cast(),
    }
}

/// Bytes of ours for the library to read.
fn input(bytes: &[u8]) -> Buffer {
    Buffer {
        length: bytes.len(),
        value: bytes.as_ptr().cast_mut().cast(),
    }
}

/// Bytes of the library's, given back when dropped.
struct Output(Buffer);

impl Output {
    const fn new() -> Self {
        Self(Buffer {
            length: 0,
            value: null_mut(),
        })
    }

    fn bytes(&self) -> Vec<u8> {
        if self.0.value.is_null() {
            return Vec::new();
        }
        // SAFETY: the library has filled the buffer: `length` bytes at `value`, until it is released.
        unsafe { std::slice::from_raw_parts(self.0.value.cast::<u8>(), self.0.length) }.to_vec()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: the buffer is empty or the library's, and nothing of it is left to others.
        unsafe { gss_release_buffer(&mut 0, &mut self.0) };
    }
}

/// A name of the library's, given back when dropped.
struct Name(Handle);

impl Name {
    const fn none() -> Self {
        Self(null_mut())
    }

    fn import<const N: usize>(text: &str, kind: &'static [u8; N]) -> Result<Self, GssError> {
        let (mut minor, mut name) = (0, Self::none());
        // SAFETY: both inputs live through the call, which copies them; `name` is empty.
        let major = unsafe {
            gss_import_name(&mut minor, &input(text.as_bytes()), &oid(kind), &mut name.0)
        };
        check(major, minor)?;
        Ok(name)
    }

    fn text(&self) -> Result<String, GssError> {
        let (mut minor, mut text) = (0, Output::new());
        // SAFETY: the name is the library's; the kind of name is not asked for.
        let major = unsafe { gss_display_name(&mut minor, self.0, &mut text.0, null_mut()) };
        check(major, minor)?;
        Ok(text.text())
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        // SAFETY: the name is none or the library's, and ours alone.
        unsafe { gss_release_name(&mut 0, &mut self.0) };
    }
}

/// Fails with what the library says of the codes, unless nothing is wrong at all.
fn check(major: u32, minor: u32) -> Result<(), GssError> {
    if major == COMPLETE {
        return Ok(());
    }
    let mut texts = messages(major, GSS_CODE);
    if minor != 0 {
        texts.extend(messages(minor, MECHANISM_CODE));
    }
    Err(GssError {
        text: texts.join(": "),
        unread: UNREAD.contains(&(major & ERRORS)),
    })
}

fn messages(code: u32, kind: c_int) -> Vec<String> {
    let (mut texts, mut more) = (Vec::new(), 0);
    while texts.len() < MESSAGES_MAX {
        let mut text = Output::new();
        // SAFETY: `more` is 0 at first and then what the library has made of it.
        let major = unsafe {
            gss_display_status(&mut 0, code, kind, &oid(&KERBEROS), &mut more, &mut text.0)
        };
        if major != COMPLETE {
            texts.push(format!("code {code:#x}"));
            break;
        }
        texts.push(text.text());
        if more == 0 {
            break;
        }
    }
    texts
}

/// A server's key.
#[derive(Debug)]
pub(crate) struct Credential(Handle);

// SAFETY: MIT's library locks a credential while it uses it, and none is changed once it is made.
unsafe impl Send for Credential {}
// SAFETY: as above.
unsafe impl Sync for Credential {}

impl Credential {
    /// The key of `principal` in `keytab`, or in the system's; fails where it is not.
    pub(crate) fn acceptor(principal: &str, keytab: Option<&str>) -> Result<Self, GssError> {
        let name = Name::import(principal, &PRINCIPAL)?;
        let nul = |_| GssError::from("the keytab's name has a zero byte".to_owned());
        let keytab = keytab.map(CString::new).transpose().map_err(nul)?;
        let elements = keytab.as_ref().map(|keytab| KeyValue {
            key: c"keytab".as_ptr(),
            value: keytab.as_ptr(),
        });
        let store = elements
            .as_ref()
            .map(|elements| KeyValues { count: 1, elements });
        let store = store.as_ref().map_or(null(), std::ptr::from_ref);
        let mechanism = oid(&KERBEROS);
        let mechanisms = OidSet {
            count: 1,
            elements: &mechanism,
        };
        let (mut minor, mut credential) = (0, Self(null_mut()));
        // SAFETY: all inputs live through the call, which copies what it keeps; a store that is null
        // means the system's; `credential` is empty; what is null is not asked for.
        let major = unsafe {
            gss_acquire_cred_from(
                &mut minor,
                name.0,
                INDEFINITE,
                &mechanisms,
                ACCEPT,
                store,
                &mut credential.0,
                null_mut(),
                null_mut(),
            )
        };
        check(major, minor)?;
        Ok(credential)
    }

    /// Takes a client's token. An error is the end of the context.
    pub(crate) fn accept(&self, context: &mut Context, token: &[u8]) -> Result<Accepted, GssError> {
        let (mut minor, mut output) = (0, Output::new());
        // SAFETY: the context is none or the library's and ours alone; the token lives through the
        // call; without channel bindings; what is null is not asked for.
        let major = unsafe {
            gss_accept_sec_context(
                &mut minor,
                &mut context.0,
                self.0,
                &input(token),
                null(),
                null_mut(),
                null_mut(),
                &mut output.0,
                null_mut(),
                null_mut(),
                null_mut(),
            )
        };
        let established = major != CONTINUE_NEEDED;
        if established {
            check(major, minor)?;
        }
        Ok(Accepted {
            token: output.bytes(),
            established,
        })
    }
}

impl Drop for Credential {
    fn drop(&mut self) {
        // SAFETY: the credential is none or the library's, and nobody uses it any more.
        unsafe { gss_release_cred(&mut 0, &mut self.0) };
    }
}

/// What a client and this server have agreed on so far.
#[derive(Debug)]
pub(crate) struct Context(Handle);

// SAFETY: a context belongs to no thread; being neither Sync nor Clone, it is used by one at a time.
unsafe impl Send for Context {}

impl Default for Context {
    fn default() -> Self {
        Self(null_mut())
    }
}

impl Context {
    /// The client's principal.
    pub(crate) fn peer(&self) -> Result<String, GssError> {
        let (mut minor, mut peer) = (0, Name::none());
        // SAFETY: the context is the library's, which refuses one that is null; what is null is not
        // asked for.
        let major = unsafe {
            gss_inquire_context(
                &mut minor,
                self.0,
                &mut peer.0,
                null_mut(),
                null_mut(),
                null_mut(),
                null_mut(),
                null_mut(),
                null_mut(),
            )
        };
        check(major, minor)?;
        peer.text()
    }

    /// Signs a message, without hiding it.
    pub(crate) fn wrap(&self, message: &[u8]) -> Result<Vec<u8>, GssError> {
        let (mut minor, mut output) = (0, Output::new());
        // SAFETY: the context is the library's, which refuses one that is null; the message lives
        // through the call.
        let major = unsafe {
            gss_wrap(
                &mut minor,
                self.0,
                0,
                0,
                &input(message),
                null_mut(),
                &mut output.0,
            )
        };
        check(major, minor)?;
        Ok(output.bytes())
    }

    /// A message that the client has signed; one out of order is none.
    pub(crate) fn unwrap(&self, token: &[u8]) -> Result<Vec<u8>, GssError> {
        let (mut minor, mut output) = (0, Output::new());
        // SAFETY: the context is the library's, which refuses one that is null; the token lives
        // through the call.
        let major = unsafe {
            gss_unwrap(
                &mut minor,
                self.0,
                &input(token),
                &mut output.0,
                null_mut(),
                null_mut(),
            )
        };
        check(major, minor)?;
        Ok(output.bytes())
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context is none or the library's, and ours alone; no token is asked for.
        unsafe { gss_delete_sec_context(&mut 0, &mut self.0, null_mut()) };
    }
}

/// The realm that principals without one are of.
pub(crate) fn default_realm() -> Result<String, GssError> {
    let name = Name::import("x", &USER)?;
    let (mut minor, mut canonical) = (0, Name::none());
    // SAFETY: the name is the library's; `canonical` is empty.
    let major =
        unsafe { gss_canonicalize_name(&mut minor, name.0, &oid(&KERBEROS), &mut canonical.0) };
    check(major, minor)?;
    let text = canonical.text()?;
    let realm = text.split_once('@').map_or("", |(_, realm)| realm);
    Ok(realm.to_owned())
}

/// Makes the library read `path` and no other configuration. It takes the name from the environment
/// only, which may not change while other threads read it.
pub(crate) fn use_config_file(path: &Path) -> Result<(), GssError> {
    const VARIABLE: &str = "KRB5_CONFIG";
    if std::env::var_os(VARIABLE).is_some_and(|known| known == path) {
        return Ok(());
    }
    let threads = std::fs::read_dir("/proc/self/task").map(Iterator::count);
    if !threads.is_ok_and(|count| count == 1) {
        let text = format!(
            "this process has more than one thread already: set {VARIABLE} to the same file"
        );
        return Err(text.into());
    }
    // SAFETY: this thread is the only one.
    unsafe { std::env::set_var(VARIABLE, path) };
    Ok(())
}
