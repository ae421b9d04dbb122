//! Numbers of fields, by message.

pub(super) mod request {
    pub(in super::super) const RESOURCE_PROFILES: u32 = 1;
    pub(in super::super) const DICTIONARY: u32 = 2;
}
pub(super) mod response {
    pub(in super::super) const PARTIAL_SUCCESS: u32 = 1;
}
pub(super) mod partial_success {
    pub(in super::super) const REJECTED: u32 = 1;
    pub(in super::super) const MESSAGE: u32 = 2;
}
pub(super) mod resource_profiles {
    pub(in super::super) const RESOURCE: u32 = 1;
    pub(in super::super) const SCOPE_PROFILES: u32 = 2;
}
pub(super) mod scope_profiles {
    pub(in super::super) const SCOPE: u32 = 1;
    pub(in super::super) const PROFILE: u32 = 2;
}
pub(super) mod profile {
    pub(in super::super) const SAMPLE_TYPE: u32 = 1;
    pub(in super::super) const SAMPLE: u32 = 2;
    pub(in super::super) const TIME: u32 = 3;
    pub(in super::super) const DURATION: u32 = 4;
    pub(in super::super) const PERIOD_TYPE: u32 = 5;
    pub(in super::super) const PERIOD: u32 = 6;
    pub(in super::super) const ID: u32 = 7;
}
pub(super) mod sample {
    pub(in super::super) const STACK: u32 = 1;
    pub(in super::super) const ATTRIBUTES: u32 = 2;
    pub(in super::super) const VALUES: u32 = 4;
}
pub(super) mod dictionary {
    pub(in super::super) const MAPPING: u32 = 1;
    pub(in super::super) const LOCATION: u32 = 2;
    pub(in super::super) const FUNCTION: u32 = 3;
    pub(in super::super) const LINK: u32 = 4;
    pub(in super::super) const STRING: u32 = 5;
    pub(in super::super) const ATTRIBUTE: u32 = 6;
    pub(in super::super) const STACK: u32 = 7;
}
