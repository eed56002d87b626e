"""The checks of the data doctor: functions from :class:`~clipc.audit.doctor_data.DoctorData` to findings."""
