//! The contracts as a pool of descriptors, and queries on it.
use anyhow::Result;
use berth::{common::v1::Access, google::api::HttpRule};
use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor,
    MethodDescriptor, ServiceDescriptor,
    prost::{Message, Name},
};
use protox::{
    Compiler,
    file::{ChainFileResolver, DescriptorSetFileResolver, File, FileResolver},
};

/// The service that every context has on its admin port, away from the public one.
pub const EVENT_LOG: &str = "berth.eventlog.v1.EventLogService";

/// The contracts of Berth.
pub fn contracts() -> Result<DescriptorPool> {
    Ok(DescriptorPool::decode(berth::DESCRIPTORS)?)
}

/// Compiles one more contract, with the contracts of Berth that it imports.
pub fn compile(name: &'static str, source: &str) -> Result<DescriptorPool> {
    let mut files = ChainFileResolver::new();
    files.add(Only(File::from_source(name, source)?));
    files.add(DescriptorSetFileResolver::decode(berth::DESCRIPTORS)?);
    let mut compiler = Compiler::with_file_resolver(files);
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_file(name)?;
    Ok(compiler.descriptor_pool())
}

/// A file in memory.
struct Only(File);

impl FileResolver for Only {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == self.0.name() {
            Ok(self.0.clone())
        } else {
            Err(protox::Error::file_not_found(name))
        }
    }
}

/// The files of Berth.
pub fn files(pool: &DescriptorPool) -> impl Iterator<Item = FileDescriptor> + '_ {
    pool.files().filter(|file| is_ours(file.package_name()))
}

/// The messages of Berth, nested ones too; entries of maps are none.
pub fn messages(pool: &DescriptorPool) -> impl Iterator<Item = MessageDescriptor> + '_ {
    pool.all_messages()
        .filter(|message| is_ours(message.package_name()) && !message.is_map_entry())
}

/// The events of Berth: the messages of every `events.proto`.
pub fn events(pool: &DescriptorPool) -> impl Iterator<Item = MessageDescriptor> + '_ {
    messages(pool)
        .filter(|message| message.parent_file().name().ends_with("/events.proto"))
        .filter(|message| message.parent_message().is_none())
}

/// The enums of Berth.
pub fn enums(pool: &DescriptorPool) -> impl Iterator<Item = EnumDescriptor> + '_ {
    pool.all_enums().filter(|kind| is_ours(kind.package_name()))
}

/// The services of Berth.
pub fn services(pool: &DescriptorPool) -> impl Iterator<Item = ServiceDescriptor> + '_ {
    pool.services()
        .filter(|service| is_ours(service.package_name()))
}

/// The rpcs of Berth.
pub fn methods(pool: &DescriptorPool) -> impl Iterator<Item = MethodDescriptor> + '_ {
    services(pool).flat_map(|service| service.methods().collect::<Vec<_>>())
}

/// The declared access of an rpc.
pub fn access(method: &MethodDescriptor) -> Option<Access> {
    option(method, "berth.common.v1.access")
}

/// The HTTP route of an rpc.
pub fn http(method: &MethodDescriptor) -> Option<HttpRule> {
    option(method, "google.api.http")
}

fn option<T: Message + Default + Name>(method: &MethodDescriptor, name: &str) -> Option<T> {
    let extension = method.parent_pool().get_extension_by_name(name)?;
    let options = method.options();
    if !options.has_extension(&extension) {
        return None;
    }
    let value = options.get_extension(&extension);
    value.as_message()?.transcode_to().ok()
}

fn is_ours(package: &str) -> bool {
    package.split('.').next() == Some("berth")
}

/// The field at a dotted path through singular messages.
pub fn field_at(message: &MessageDescriptor, path: &str) -> Option<FieldDescriptor> {
    match path.split_once('.') {
        None => message.get_field_by_name(path),
        Some((first, rest)) => {
            let field = message.get_field_by_name(first)?;
            let kind = field.kind();
            field_at(kind.as_message().filter(|_| !field.is_list())?, rest)
        }
    }
}

/// `MyPageEntry` as `my_page_entry`.
pub fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}
